//! Which Rust toolchain builds the guests: a pure decision over what was found on the machine.

use std::path::PathBuf;

/// The oldest compiler that knows what guests use, as `(major, minor)`.
pub const OLDEST_RUSTC: (u32, u32) = (1, 95);

/// What was found on this machine, without having changed anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The toolchain which runs the build.
    pub current: Option<CurrentToolchain>,
    /// Whether `rustup` answers.
    pub rustup: bool,
    /// The toolchain of the distribution, under `/usr/bin`.
    pub debian: Option<DebianToolchain>,
}

/// The toolchain which runs the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentToolchain {
    pub rustc: PathBuf,
    pub cargo: PathBuf,
    /// Where its standard library for the guests' target is, or would be.
    pub wasm_libdir: PathBuf,
    /// Whether that directory holds anything: rustc names it in any case.
    pub has_wasm_std: bool,
}

/// The toolchain of the distribution. It builds the standard library from its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianToolchain {
    pub rustc: PathBuf,
    pub cargo: PathBuf,
    /// `(major, minor)`
    pub version: (u32, u32),
    /// Whether the standard library's sources are installed.
    pub has_sources: bool,
    /// A linker for WebAssembly: some `rust-lld`, `lld` or `wasm-ld`.
    pub linker: Option<PathBuf>,
}

/// Restricts the search, from `ROLLBOT_WASM_TOOLCHAIN`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preference {
    #[default]
    Any,
    Current,
    Debian,
}

/// What the person who builds asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    pub preference: Preference,
    /// Whether `rustup target add` may be tried.
    pub may_add_target: bool,
    /// What came of trying it, where it was tried and did not help.
    pub adding_failed: Option<String>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Current {
        rustc: PathBuf,
        cargo: PathBuf,
    },
    /// Run `rustup target add` once, look again, and ask again with `adding_failed` if it did not
    /// help.
    AddTarget,
    Debian {
        rustc: PathBuf,
        cargo: PathBuf,
        linker: PathBuf,
    },
    /// Nothing fits; one sentence for each thing that was looked at.
    Nothing(Vec<String>),
}

/// Decides on a toolchain: the current one, else the current one with its target added if that was
/// asked for, else Debian's.
pub fn choose(found: &Found, wishes: &Wishes) -> Choice {
    let mut reasons = Vec::new();
    if wishes.preference != Preference::Debian {
        match &found.current {
            Some(current) if current.has_wasm_std => {
                return Choice::Current {
                    rustc: current.rustc.clone(),
                    cargo: current.cargo.clone(),
                };
            }
            Some(current) => reasons.push(format!(
                "{} has no standard library for the target ({} is missing or empty)",
                current.rustc.display(),
                current.wasm_libdir.display()
            )),
            None => reasons.push("the current rustc does not answer".to_owned()),
        }
        match (&wishes.adding_failed, wishes.may_add_target) {
            (Some(failure), _) => reasons.push(format!("rustup target add: {failure}")),
            (None, true) if found.rustup => return Choice::AddTarget,
            (None, true) => reasons.push("there is no rustup to add the target with".to_owned()),
            (None, false) => {}
        }
    }
    if wishes.preference != Preference::Current {
        match &found.debian {
            None => reasons.push("/usr/bin has no rustc and cargo".to_owned()),
            Some(debian) if debian.version < OLDEST_RUSTC => reasons.push(format!(
                "{} is {}.{}, and guests need {}.{}",
                debian.rustc.display(),
                debian.version.0,
                debian.version.1,
                OLDEST_RUSTC.0,
                OLDEST_RUSTC.1
            )),
            Some(debian) if !debian.has_sources => reasons.push(format!(
                "{} has no sources of the standard library (rust-web-src)",
                debian.rustc.display()
            )),
            Some(debian) => match &debian.linker {
                Some(linker) => {
                    return Choice::Debian {
                        rustc: debian.rustc.clone(),
                        cargo: debian.cargo.clone(),
                        linker: linker.clone(),
                    };
                }
                None => reasons.push(format!(
                    "{} has no linker for WebAssembly (lld)",
                    debian.rustc.display()
                )),
            },
        }
    }
    Choice::Nothing(reasons)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    fn current(has_wasm_std: bool) -> CurrentToolchain {
        CurrentToolchain {
            rustc: "/rustup/rustc".into(),
            cargo: "/rustup/cargo".into(),
            wasm_libdir: "/rustup/lib/wasm".into(),
            has_wasm_std,
        }
    }

    fn debian() -> DebianToolchain {
        DebianToolchain {
            rustc: "/usr/bin/rustc".into(),
            cargo: "/usr/bin/cargo".into(),
            version: (1, 96),
            has_sources: true,
            linker: Some("/usr/bin/lld-22".into()),
        }
    }

    fn debian_choice() -> Choice {
        Choice::Debian {
            rustc: "/usr/bin/rustc".into(),
            cargo: "/usr/bin/cargo".into(),
            linker: "/usr/bin/lld-22".into(),
        }
    }

    fn reasons(choice: Choice) -> String {
        match choice {
            Choice::Nothing(reasons) => reasons.join("\n"),
            other => panic!("expected nothing, got {other:?}"),
        }
    }

    #[test]
    fn the_current_toolchain_wins_when_it_has_the_target() {
        let found = Found {
            current: Some(current(true)),
            rustup: true,
            debian: Some(debian()),
        };
        let wishes = Wishes {
            may_add_target: true,
            ..Wishes::default()
        };
        assert_eq!(
            choose(&found, &wishes),
            Choice::Current {
                rustc: "/rustup/rustc".into(),
                cargo: "/rustup/cargo".into()
            }
        );
    }

    #[test]
    fn rustup_is_not_asked_unless_it_may_be() {
        let found = Found {
            current: Some(current(false)),
            rustup: true,
            debian: Some(debian()),
        };
        assert_eq!(choose(&found, &Wishes::default()), debian_choice());
        let may = Wishes {
            may_add_target: true,
            ..Wishes::default()
        };
        assert_eq!(choose(&found, &may), Choice::AddTarget);
    }

    #[test]
    fn rustup_is_asked_only_once() {
        let found = Found {
            current: Some(current(false)),
            rustup: true,
            debian: Some(debian()),
        };
        let tried = Wishes {
            may_add_target: true,
            adding_failed: Some("no answer within 120 s".to_owned()),
            ..Wishes::default()
        };
        assert_eq!(choose(&found, &tried), debian_choice());
        let without_debian = Found {
            debian: None,
            ..found
        };
        assert!(reasons(choose(&without_debian, &tried)).contains("no answer within 120 s"));
    }

    #[test]
    fn each_missing_part_of_debians_toolchain_is_named() {
        let with = |debian| Found {
            current: Some(current(false)),
            rustup: false,
            debian: Some(debian),
        };
        let wishes = Wishes::default();
        let old = DebianToolchain {
            version: (1, 63),
            ..debian()
        };
        assert!(reasons(choose(&with(old), &wishes)).contains("is 1.63, and guests need 1.95"));
        let bare = DebianToolchain {
            has_sources: false,
            ..debian()
        };
        assert!(reasons(choose(&with(bare), &wishes)).contains("rust-web-src"));
        let unlinked = DebianToolchain {
            linker: None,
            ..debian()
        };
        let said = reasons(choose(&with(unlinked), &wishes));
        assert!(said.contains("no linker"), "{said}");
        assert!(
            said.contains("/rustup/lib/wasm is missing or empty"),
            "{said}"
        );
    }

    #[test]
    fn a_preference_excludes_the_other_toolchain() {
        let found = Found {
            current: Some(current(true)),
            rustup: true,
            debian: Some(debian()),
        };
        let prefer = |preference| Wishes {
            preference,
            ..Wishes::default()
        };
        assert_eq!(choose(&found, &prefer(Preference::Debian)), debian_choice());
        let found = Found {
            current: Some(current(false)),
            ..found
        };
        assert!(matches!(
            choose(&found, &prefer(Preference::Current)),
            Choice::Nothing(_)
        ));
    }
}
