//! The plugin API as Rust types, generated from `wit/`.
//!
//! The records derive serde: what a plugin received is journaled as JSON of these very types, with
//! field names in snake case, and read back as them in a replay.
#![allow(missing_docs, clippy::all, clippy::pedantic)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "plugin",
    imports: { default: async | trappable },
    exports: { default: async },
    additional_derives: [
        PartialEq,
        Clone,
        serde::Serialize,
        serde::Deserialize,
    ],
});
