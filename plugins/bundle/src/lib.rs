//! The official plugins, as components inside the bot: a single file can be copied to a server and
//! has everything. Plugins of others are loaded from disk in the same way.

/// A plugin that came with the bot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bundled {
    /// `trade`; the same as in the plugin's own description.
    pub name: &'static str,
    /// The component, as it is digested, compiled and shown to people.
    pub bytes: &'static [u8],
}

impl std::fmt::Debug for Bundled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundled({}, {} bytes)", self.name, self.bytes.len())
    }
}

macro_rules! bundled {
    ($($name:literal),*) => {
        &[$(Bundled {
            name: $name,
            bytes: include_bytes!(concat!(env!("OUT_DIR"), "/rollbot-plugin-", $name, ".wasm")),
        }),*]
    };
}

/// All of them, in the order in which they are listed to people.
pub fn components() -> &'static [Bundled] {
    bundled!["trade", "data"]
}
