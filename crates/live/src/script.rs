//! What the store does at once: each operation is one script.

use std::sync::LazyLock;

use redis::Cmd;

/// A script, and what servers know it by.
pub(crate) struct Script {
    code: &'static str,
    hash: String,
}

macro_rules! scripts {
    ($($name:ident = $code:expr;)+) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| Script::new($code));)+
    };
}

/// A script of a room.
macro_rules! of_room {
    ($file:literal) => {
        concat!(include_str!("scripts/prelude.lua"), "\n", include_str!($file))
    };
}

scripts! {
    OPEN = of_room!("scripts/open.lua");
    PEEK = of_room!("scripts/peek.lua");
    APPEND = of_room!("scripts/append.lua");
    READ_AFTER = of_room!("scripts/read_after.lua");
    COMPACT = of_room!("scripts/compact.lua");
    END = of_room!("scripts/end.lua");
    SET_NOTE = include_str!("scripts/set_note.lua");
    REVOKE = include_str!("scripts/revoke.lua");
    BEAT = include_str!("scripts/beat.lua");
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// The command that runs it: by its name, or, on a server that does not know it yet, with all its text.
    pub(crate) fn command(&self, keys: &[&str], arguments: &[&[u8]], is_known: bool) -> Cmd {
        let mut command = if is_known { redis::cmd("EVALSHA") } else { redis::cmd("EVAL") };
        command.arg(if is_known { self.hash.as_str() } else { self.code });
        command.arg(keys.len()).arg(keys).arg(arguments);
        command
    }
}
