//! From a core module to a component that is known to be a plugin and nothing more.

use wit_component::{ComponentEncoder, decode};

use crate::BuildError;

/// The package whose interfaces are all that a plugin may import.
const API: &str = "rollbot:plugin/";

/// Makes a component of a core module, validates it, and checks that it imports interfaces of
/// `rollbot:plugin` only and exports its procedures. `package` is for messages.
///
/// # Errors
/// [`BuildError::Encode`], [`BuildError::ForeignImport`], [`BuildError::NoProcedures`].
pub fn encode(package: &str, core: &[u8]) -> Result<Vec<u8>, BuildError> {
    let failed = |reason: String| BuildError::Encode {
        package: package.to_owned(),
        reason,
    };
    let bytes = ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| failed(format!("{error:#}")))?;

    let decoded = decode(&bytes).map_err(|error| failed(format!("{error:#}")))?;
    let resolve = decoded.resolve();
    let mut exports_procedures = false;
    for (_, world) in resolve.worlds.iter() {
        for key in world.imports.keys() {
            let import = resolve.name_world_key(key);
            if !import.starts_with(API) {
                return Err(BuildError::ForeignImport {
                    package: package.to_owned(),
                    import,
                });
            }
        }
        exports_procedures |= world.exports.keys().any(|key| {
            resolve
                .name_world_key(key)
                .starts_with("rollbot:plugin/procedures@")
        });
    }
    if exports_procedures {
        Ok(bytes)
    } else {
        Err(BuildError::NoProcedures {
            package: package.to_owned(),
        })
    }
}
