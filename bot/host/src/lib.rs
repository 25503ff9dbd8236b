//! What a plugin may ask of a machine. One crate a capability; none of them knows of operations,
//! plans or grants: those are checked by the engine before anything here is called.

pub use rollbot_host_backup as backup;
pub use rollbot_host_docker as docker;
pub use rollbot_host_probe as probe;
pub use rollbot_host_process as process;
pub use rollbot_host_registry as registry;
