//! Which server has which keys.

use redis::Value;

use crate::address::Address;

/// How many slots the keys of a cluster are spread over.
pub(crate) const SLOTS: u16 = 1 << 14;

/// The slot of the keys that have this between braces.
pub(crate) fn slot_of(tag: &str) -> u16 {
    let sum = tag.bytes().fold(0_u16, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(byte) << 8), |sum, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 }
        })
    });
    sum % SLOTS
}

/// Who has which slots: of each range the first, the last, and the server.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct SlotMap(Vec<(u16, u16, Address)>);

impl SlotMap {
    /// One server has all.
    pub(crate) fn single(address: Address) -> Self {
        Self(vec![(0, SLOTS - 1, address)])
    }

    /// Reads what a server answers to `CLUSTER SLOTS`.
    pub(crate) fn of_answer(answer: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let ranges = ranges.iter().map(|range| {
            let Value::Array(range) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else {
                return None;
            };
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            let [host, Value::Int(port), ..] = master.as_slice() else { return None };
            let host = match host {
                Value::BulkString(host) => core::str::from_utf8(host).ok()?,
                Value::SimpleString(host) => host,
                Value::Nil => "",
                _ => return None,
            };
            Some((first, last, Address::told(host, u16::try_from(*port).ok()?, asked)))
        });
        let ranges = ranges.collect::<Option<Vec<_>>>()?;
        Some(Self(ranges)).filter(|map| !map.0.is_empty())
    }

    /// Who has a slot.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Address> {
        self.0.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, address)| address)
    }

    /// All that have any, once each.
    pub(crate) fn servers(&self) -> Vec<Address> {
        let mut servers: Vec<_> = self.0.iter().map(|(_, _, address)| address.clone()).collect();
        servers.sort();
        servers.dedup();
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_as_the_specification_has_them() {
        assert_eq!(slot_of("123456789"), 0x31c3);
        assert_eq!(slot_of("foo"), 12182);
        assert_eq!(slot_of(""), 0);
    }

    #[test]
    fn a_garbled_map_is_none() {
        let asked = Address { host: "one".into(), port: 1 };
        assert_eq!(SlotMap::of_answer(&Value::Array(vec![]), &asked), None);
        assert_eq!(SlotMap::of_answer(&Value::Array(vec![Value::Int(3)]), &asked), None);
        let master = Value::Array(vec![Value::Nil, Value::Int(7000)]);
        let range = |last| Value::Array(vec![Value::Int(0), Value::Int(last), master.clone()]);
        let map = SlotMap::of_answer(&Value::Array(vec![range(5)]), &asked).unwrap();
        assert_eq!(map.owner(5), Some(&Address { host: "one".into(), port: 7000 }));
        assert_eq!(map.owner(6), None);
        assert_eq!(SlotMap::of_answer(&Value::Array(vec![range(-1)]), &asked), None);
    }
}
