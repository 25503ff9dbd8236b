//! The common steps of a service rollback, as a plugin may call them from its own.

mod native;
mod prepare;
mod start;
mod stop;
mod switch;
mod verify;

pub use native::{native_holds, native_is_healthy, status, wait_until_port_is_free};
pub use prepare::prepare;
pub use start::{back_up, start};
pub use stop::stop;
pub use switch::{lead_to, switch};
pub use verify::verify;
