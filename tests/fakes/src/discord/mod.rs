//! Discord: REST, gateway and interactions.
