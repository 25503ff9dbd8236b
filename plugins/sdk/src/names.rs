//! Names of steps and effects: what plans hold, journals record and people see.

/// Steps, in the order in which they run.
pub mod step {
    pub const PREPARE: &str = "prepare";
    pub const STOP: &str = "stop";
    pub const BACK_UP: &str = "back-up";
    pub const START: &str = "start";
    pub const VERIFY: &str = "verify";
    pub const SWITCH: &str = "switch";
}

/// Effects and contingencies.
pub mod effect {
    pub const STOP_NATIVE: &str = "stop-native";
    pub const STOP_BY_PORT: &str = "stop-by-port";
    pub const BACK_UP_DATA: &str = "back-up-data";
    pub const START_CONTAINERS: &str = "start-containers";
    pub const POINT_REGISTRY: &str = "point-registry";
    pub const UNDO_STOP_CONTAINERS: &str = "undo-stop-containers";
    pub const UNDO_START_NATIVE: &str = "undo-start-native";
    pub const UNDO_POINT_NATIVE: &str = "undo-point-native";
}

/// Checks that the common steps use.
pub mod check {
    pub const HEALTH: &str = "health";
    pub const API: &str = "api-";
    pub const PEER: &str = "peer-";
    pub const REACH: &str = "reach-";
}

/// Settings that the common steps use.
pub mod setting {
    pub const STOP_GRACE: &str = "stop-grace";
    pub const PORT_FREE_LIMIT: &str = "port-free-limit";
    pub const HEALTH_LIMIT: &str = "health-limit";
}
