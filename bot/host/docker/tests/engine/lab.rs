//! A compose project of a test's own: its image, its containers, its directory.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use rollbot_host_docker::{Engine, EngineConfig, ProjectConfig};

pub const SOCKET: &str = "/var/run/docker.sock";

/// Removes everything it made when it is dropped.
pub struct Lab {
    pub project: String,
    pub image: String,
    pub digest: String,
    pub directory: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        Self::with_changes(&[])
    }

    /// With an image that says how healthy it is.
    pub fn with_health_check() -> Self {
        Self::with_changes(&[
            "HEALTHCHECK --interval=500ms --timeout=2s --retries=2 CMD [\"/svc\", \"--health\"]",
        ])
    }

    fn with_changes(changes: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let project = format!(
            "rbt{}x{}x{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed),
            now.subsec_nanos()
        );
        let mut lab = Self {
            image: format!("rollbot-test/{project}:1"),
            project,
            digest: String::new(),
            directory: tempfile::tempdir().unwrap(),
        };
        lab.digest = lab.import(&lab.image, changes);
        lab
    }

    pub fn import(&self, name: &str, changes: &[&str]) -> String {
        let mut arguments = vec![
            "import".to_owned(),
            "-c".to_owned(),
            "ENTRYPOINT [\"/svc\"]".to_owned(),
        ];
        for change in changes {
            arguments.extend(["-c".to_owned(), (*change).to_owned()]);
        }
        arguments.extend([image_archive().display().to_string(), name.to_owned()]);
        docker(&arguments)
    }

    /// Creates a container as compose would, and returns its id.
    pub fn create(&self, service: &str, options: &[&str], command: &[&str]) -> String {
        self.create_from(&self.image, service, options, command)
    }

    pub fn create_from(
        &self,
        image: &str,
        service: &str,
        options: &[&str],
        command: &[&str],
    ) -> String {
        let mut arguments: Vec<String> = [
            "create",
            "--init",
            "--label",
            &format!("com.docker.compose.project={}", self.project),
            "--label",
            &format!("com.docker.compose.service={service}"),
            "--label",
            "com.docker.compose.container-number=1",
            "--name",
            &format!("{}_{service}_1", self.project),
        ]
        .map(str::to_owned)
        .to_vec();
        // A label given again replaces the one above, and so does a name.
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        arguments.push(image.to_owned());
        arguments.extend(command.iter().map(|word| (*word).to_owned()));
        docker(&arguments)
    }

    pub fn config(&self) -> EngineConfig {
        let mut config = EngineConfig::new(SOCKET);
        config.deadlines.poll = Duration::from_millis(200);
        config.projects.insert(
            self.project.clone(),
            ProjectConfig {
                directory: self.directory.path().to_owned(),
                files: vec!["compose.yml".into()],
                env_file: None,
            },
        );
        config
    }

    pub fn engine(&self) -> Engine {
        Engine::new(self.config())
    }

    pub fn write_compose_file(&self, services: &str) {
        let text = format!("version: '3.7'\nservices:\n{services}");
        std::fs::write(self.directory.path().join("compose.yml"), text).unwrap();
    }

    pub fn ids(&self) -> Vec<String> {
        let label = format!("label=com.docker.compose.project={}", self.project);
        docker(&["ps", "-aq", "--no-trunc", "--filter", &label])
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let quietly = |arguments: &[&str]| {
            let output = Command::new("docker").args(arguments).output();
            output.map_or_else(
                |_| String::new(),
                |output| String::from_utf8_lossy(&output.stdout).into_owned(),
            )
        };
        let label = format!("label=com.docker.compose.project={}", self.project);
        for id in quietly(&["ps", "-aq", "--filter", &label]).lines() {
            quietly(&["rm", "-f", "-v", id]);
        }
        for id in quietly(&["network", "ls", "-q", "--filter", &label]).lines() {
            quietly(&["network", "rm", id]);
        }
        let reference = format!("reference=rollbot-test/{}", self.project);
        for name in quietly(&[
            "images",
            "--format",
            "{{.Repository}}:{{.Tag}}",
            "--filter",
            &reference,
        ])
        .lines()
        {
            quietly(&["rmi", "-f", name]);
        }
        if self.digest.starts_with("sha256:") {
            quietly(&["rmi", "-f", &self.digest]);
        }
    }
}

pub fn services(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A port of this machine that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub fn docker<S: AsRef<str>>(arguments: &[S]) -> String {
    let output = Command::new("docker")
        .args(arguments.iter().map(AsRef::as_ref))
        .output()
        .expect("the docker command is installed");
    assert!(
        output.status.success(),
        "docker {:?} failed: {}",
        arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The whole file system of the images: one static binary. Kept in the target directory until its
/// source changes.
fn image_archive() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/image/service.rs");
        let mut hasher = DefaultHasher::new();
        std::fs::read(&source).unwrap().hash(&mut hasher);
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let archive = kept.join(format!("container-image-{:016x}.tar", hasher.finish()));
        if archive.exists() {
            return archive;
        }
        let directory = tempfile::tempdir_in(kept).unwrap();
        let compiled = Command::new("rustc")
            .args(["--edition", "2024", "-C", "target-feature=+crt-static"])
            .args(["-C", "opt-level=s", "-C", "strip=symbols", "-o"])
            .arg(directory.path().join("svc"))
            .arg(source)
            .output()
            .unwrap();
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        let packed = Command::new("tar")
            .arg("-C")
            .arg(directory.path())
            .args(["-cf", "image.tar", "svc"])
            .current_dir(directory.path())
            .status()
            .unwrap();
        assert!(packed.success());
        // Another test process may be doing the same.
        std::fs::rename(directory.path().join("image.tar"), &archive).unwrap();
        archive
    })
}
