//! The JSON Schema of an experiment's file, for editors that complete and check TOML while it is written (H1).
//!
//! It is made of the very structures that the file is read with, so both know the same keys. What a reader checks beyond a
//! key's type stands at the key as an attribute: its range, its usual value, its words. A schema sees one table at a time;
//! whether a scene that is named is there, and whether a file is, only `interplay check` can tell.
//!
//! It is written in draft 7 and without references, which is what the editors' TOML servers read best. Where keys depend on a
//! table's kind, it lists them all, and then says with `if` and `then` which kind does not have them: of a union of one table
//! a kind, those servers would tell no more than that the whole scene fits none of them.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::generate::SchemaSettings;
use schemars::transform::{RestrictFormats, Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value, json};
use wire::control::VisitEnding;

use super::File;

/// What the schema's file is called beside an experiment's.
pub(super) const SCHEMA_FILE: &str = "experiment.schema.json";

/// With this begins the line of an experiment's file that says where its schema is.
const DIRECTIVE: &str = "#:schema ";

/// An `http` or `https` address. Whether there is a host in it that can be one, the reader sees.
pub(crate) const WEB_ADDRESS: &str = "^https?://[^/]";

/// The schema, as a file.
#[must_use]
pub fn file() -> String {
    let settings = SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(WithoutNull)
        .with_transform(InOneLine)
        .with_transform(RestrictFormats::default());
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    // The same file whichever features of serde_json other packages ask for.
    schema.sort_all_objects();
    format!("{schema:#}\n")
}

/// An experiment's file whose schema is beside it, wherever it was before.
pub(super) fn beside(file: &str) -> String {
    let line = |line: &str| match line.strip_prefix(DIRECTIVE) {
        Some(_) => format!("{DIRECTIVE}./{SCHEMA_FILE}\n"),
        None => format!("{line}\n"),
    };
    file.lines().map(line).collect()
}

/// TOML has no null: a key that may be left out is left out.
#[derive(Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                object["type"] = only.clone();
            }
        }
        if let Some(Value::Array(words)) = object.get_mut("enum") {
            words.retain(|word| !word.is_null());
        }
        let is_null = |schema: &Value| schema["type"] == "null";
        if let Some(Value::Array(either)) = object.get_mut("anyOf")
            && let Some(null) = either.iter().position(is_null)
        {
            either.remove(null);
            if let [Value::Object(only)] = either.as_mut_slice() {
                let only = std::mem::take(only);
                object.remove("anyOf");
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
}

/// What is said of a key, without the line breaks that it has in the source.
#[derive(Clone)]
struct InOneLine;

impl Transform for InOneLine {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
    }
}

/// A name in the data.
pub(super) struct Id;

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" })
    }
}

/// A value that a variable may have.
pub(super) struct Plain;

impl JsonSchema for Plain {
    fn schema_name() -> Cow<'static, str> {
        "Plain".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string", "boolean"] })
    }
}

/// The words of an enum whose values have no content, as serde reads them.
pub(super) struct Words<T>(PhantomData<T>);

impl<T: DeserializeOwned> JsonSchema for Words<T> {
    fn schema_name() -> Cow<'static, str> {
        std::any::type_name::<T>().into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": words::<T>() })
    }
}

/// The names of an enum's variants, which serde tells whoever it is asked to read one from.
pub(super) fn words<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Asked<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Asked<'_> {
        type Error = de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("there is nothing to read"))
        }

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            variants: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = variants;
            self.deserialize_any(visitor)
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map struct identifier ignored_any
        }
    }

    let mut words: &[&str] = &[];
    // It cannot be read, and that is not what it is asked for.
    let _ = T::deserialize(Asked(&mut words));
    words
}

/// What there is for ways of ending, by their names.
pub(super) struct ByEnding<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for ByEnding<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("ByEnding{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let properties: Map<_, _> =
            endings().map(|name| (name.to_owned(), generator.subschema_for::<T>().to_value())).collect();
        json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
    }
}

/// What ways of ending are called; as games end normally, so may visits.
pub(super) fn endings() -> impl Iterator<Item = &'static str> {
    VisitEnding::ALL.into_iter().map(VisitEnding::name).chain(["normal"])
}

/// A key that not all kinds of a table have: its name, whether it is there, and the kinds that have it.
pub(super) type KeyOf<Table, Kind> = (&'static str, fn(&Table) -> bool, &'static [Kind]);

/// A kind of table among several that are told apart by one key.
pub(super) struct KindOf<'a> {
    /// What the key says.
    pub(super) name: &'a str,
    /// The keys that tables of all kinds together have, and this kind has not.
    pub(super) without: Vec<&'a str>,
    /// What it needs beyond what all need.
    pub(super) needs: &'a [&'a str],
    /// What is said of some of its keys.
    pub(super) more: Map<String, Value>,
}

/// Adds to a table's schema what depends on its kind.
pub(super) fn by_kind(schema: &mut Schema, key: &str, kinds: Vec<KindOf<'_>>) {
    let mut rest = Map::new();
    for KindOf { name, without, needs, more } in kinds.into_iter().rev() {
        let mut properties = more;
        properties.extend(without.into_iter().map(|key| (key.to_owned(), Value::Bool(false))));
        // Without leave to have other keys, Tombi warns of all that are not named again here.
        let condition = json!({ "properties": { key: { "const": name } }, "required": [key], "additionalProperties": true });
        let mut then = json!({ "properties": properties, "additionalProperties": true });
        if !needs.is_empty() {
            then["required"] = json!(needs);
        }
        let mut one = Map::from_iter([("if".to_owned(), condition), ("then".to_owned(), then)]);
        if !rest.is_empty() {
            rest.insert("additionalProperties".to_owned(), true.into());
            one.insert("else".to_owned(), Value::Object(rest));
        }
        rest = one;
    }
    schema.ensure_object().extend(rest);
}

/// Says behind what is said of a key in which kinds of tables it is.
pub(super) fn only_in(schema: &mut Schema, key: &str, places: &str) {
    let place = format!("/properties/{key}/description");
    if let Some(Value::String(description)) = schema.pointer_mut(&place) {
        description.push_str(&format!(" Only in {places}."));
    }
}

#[cfg(test)]
mod tests;
