//! The world in which `rollbot demo` plays: six small services that run natively, the containers
//! they are to be rolled back to, a service registry, and data worth saving.
//!
//! Everything is real. The services are processes in sessions of their own, which survive the end
//! of whoever made the world. The containers are made in a Docker Engine from an image that holds
//! nothing but the same static binary, so nothing is pulled; where there is no engine, in a
//! stand-in that speaks the same API and says what it is. A world is a directory; the one who
//! created it may be killed at any moment, and [`World::open`] finds everything again.
//!
//! ```text
//! DIR/world.json                   what was made, and where it is
//! DIR/registry.json                the service registry
//! DIR/backups/                     empty; archives go here
//! DIR/docker/docker-compose.yml    the containers' compose project (its name is in .env)
//! DIR/docker/data/SERVICE/         data of the containers, as of the cutover
//! DIR/non-docker/SERVICE/          data of the native services (mcp: services/mcp)
//! DIR/non-docker/bin/              the binary, once for each service
//! DIR/shared_data/  DIR/scripts/
//! DIR/logs/                        one log for each native service, one of the stand-in engine
//! DIR/run/                         notes on running processes, lock, socket
//! DIR/engine/                      state of the stand-in engine
//! ```
//!
//! # What the registry says
//!
//! Native service and container share a port, so their address is the same, and an address alone
//! would not show to which of the two a client was sent. The services therefore serve everything a
//! second time below the name of their deployment, and answer 421 below the other one's. The
//! registry's values are such base URLs: `http://127.0.0.1:9003/native` and
//! `http://127.0.0.1:9003/docker`. A client appends its path and reaches the deployment that it was
//! sent to, or learns that it was sent to the wrong one. The native services look up each other this
//! way: `GET /peers` of one of them checks the routing to all others.
//!
//! # Ports
//!
//! 9000 to 9004 for auth, strategy, backtest, trade and data, and 9005 for mcp, if all six are free;
//! else six others in a row.

mod binary;
mod compose;
mod containers;
mod describe;
mod detect;
mod error;
mod image;
mod layout;
mod lock;
mod natives;
mod observe;
mod options;
mod ports;
mod record;
mod seed;
mod services;
mod stand_in;
mod world;

pub use binary::{BINARY, STATIC_BINARY, VERSION};
pub use describe::Description;
pub use error::WorldError;
pub use layout::Layout;
pub use observe::{Deployment, Observed};
pub use options::{EngineChoice, EngineKind, OpenOptions, WorldOptions};
pub use services::DemoService;
pub use world::World;
