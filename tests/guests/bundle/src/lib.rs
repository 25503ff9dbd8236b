//! Guests that misbehave, as components. Each crate beside this one says what its guest does and
//! which settings of the service choose between its ways.

macro_rules! guest {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/rollbot-guest-", $name, ".wasm"))
    };
}

/// Calls host functions without end, or hands over far too much text.
pub const CHATTY: &[u8] = guest!("chatty");
/// Allocates until it may not.
pub const EATS_MEMORY: &[u8] = guest!("eats-memory");
/// Does what its plan does not say.
pub const LIES: &[u8] = guest!("lies");
/// Never returns.
pub const LOOPS: &[u8] = guest!("loops");
/// Panics.
pub const PANICS: &[u8] = guest!("panics");
/// Makes the calls it is told to make.
pub const SCRIPTED: &[u8] = guest!("scripted");

/// All of them, by name.
pub const ALL: [(&str, &[u8]); 6] = [
    ("chatty", CHATTY),
    ("eats-memory", EATS_MEMORY),
    ("lies", LIES),
    ("loops", LOOPS),
    ("panics", PANICS),
    ("scripted", SCRIPTED),
];
