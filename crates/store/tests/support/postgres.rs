//! A Postgres server of the tests' own, in a folder that goes with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Who runs it when the tests are run by root, whom Postgres refuses: `nobody`.
const NOBODY: u32 = 65_534;

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether what is committed is on the disk, which takes longer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syncs {
    Yes,
    No,
}

/// A running server, which ends with this process, however that ends.
pub(crate) struct PostgresServer {
    folder: PathBuf,
    settings: Vec<String>,
    /// Names its socket too.
    port: String,
    process: Child,
    /// Ends when this does, and takes the server and its folder with it.
    _watched: ChildStdin,
}

/// Where Debian keeps the newest one's programs; else they are looked for where all programs are.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name().unwrap().to_string_lossy().parse::<u32>().unwrap_or(0);
    let newest = versions.map(|entry| entry.path()).max_by_key(|path| number(path));
    newest.map_or_else(|| name.into(), |newest| newest.join("bin").join(name))
}

/// A program of Postgres's, run by nobody where that is needed.
fn command(name: &str) -> Command {
    let program = program(name);
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into()]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    // What interrupts the tests must not end it before its watcher does.
    command.env("LC_ALL", "C.UTF-8").current_dir("/").stdin(Stdio::null()).process_group(0);
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

fn run(mut command: Command) {
    let missing = "the tests need a Postgres server: install Debian's postgresql, or run cargo xtask test";
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {missing}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl PostgresServer {
    /// One that all tests of this process share, each with a database of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<PostgresServer> =
            LazyLock::new(|| PostgresServer::start(Syncs::No, &["listen_addresses="]));
        &SHARED
    }

    /// One with settings of its own. It listens on a socket in its folder.
    pub(crate) fn start(syncs: Syncs, settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("interplay-pg-").tempdir().unwrap().keep();
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let script =
            "cat > /dev/null; kill -QUIT $(head -n 1 \"$0/data/postmaster.pid\"); sleep 0.5; rm -rf \"$0\"";
        let mut watcher = Command::new("sh");
        watcher.args(["-c", script]).arg(&folder).stdin(Stdio::piped()).stderr(Stdio::null());
        let watched = watcher.process_group(0).spawn().unwrap().stdin.take().unwrap();
        let mut initdb = command("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--username=interplay", "--encoding=UTF8", "--pgdata"]);
        initdb.arg(folder.join("data"));
        run(initdb);
        let on_disk = if syncs == Syncs::Yes { "fsync=on" } else { "fsync=off" };
        let settings = settings.iter().copied().chain([on_disk, "shared_buffers=16MB"]);
        let settings: Vec<_> = settings.map(ToOwned::to_owned).collect();
        let process = Self::spawn(&folder, &settings);
        let port =
            settings.iter().find_map(|setting| setting.strip_prefix("port=")).unwrap_or("5432").to_owned();
        let server = Self { folder, settings, port, process, _watched: watched };
        server.wait_until_ready();
        server
    }

    fn spawn(folder: &Path, settings: &[String]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut postgres = command("postgres");
        postgres.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).stderr(log);
        for setting in settings {
            postgres.arg("-c").arg(setting);
        }
        postgres.spawn().unwrap()
    }

    fn wait_until_ready(&self) {
        let begun = Instant::now();
        loop {
            let mut ready = command("pg_isready");
            ready.arg("-q").arg("-h").arg(&self.folder).args(["-p", &self.port]);
            if ready.status().unwrap().success() {
                return;
            }
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "the Postgres server does not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its folder, with its socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new database's name.
    pub(crate) fn create_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut create = command("createdb");
        create.arg("-h").arg(&self.folder).args(["-p", &self.port, "-U", "interplay", &name]);
        run(create);
        name
    }

    /// How a database is reached through a folder's socket.
    pub(crate) fn url_through(folder: &Path, database: &str) -> String {
        format!("postgres://interplay@{}/{database}", folder.display().to_string().replace('/', "%2F"))
    }

    /// A new database.
    pub(crate) fn database(&self) -> String {
        Self::url_through(&self.folder, &self.create_database())
    }

    /// SIGKILL, of all its processes at once, as when the machine dies.
    pub(crate) fn kill(&mut self) {
        let id = self.process.id();
        // Stopped first, so that it starts no more.
        let signal =
            |signal: &str, ids: &[String]| Command::new("kill").arg(signal).args(ids).status().unwrap();
        signal("-STOP", &[id.to_string()]);
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let mut all: Vec<_> = children.split_whitespace().map(ToOwned::to_owned).collect();
        all.push(id.to_string());
        signal("-KILL", &all);
        self.process.wait().unwrap();
    }

    /// From now on it can be spoken to in secret.
    pub(crate) fn encrypt(&mut self, certificate: &Path, key: &Path) {
        for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = self.folder.join("data").join(name);
            std::fs::write(&to, std::fs::read(from).unwrap()).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                chown(&to, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        self.settings.push("ssl=on".into());
        self.stop();
        self.start_again();
    }

    /// Ends it in good order, with all its sessions.
    pub(crate) fn stop(&mut self) {
        Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after its end.
    pub(crate) fn start_again(&mut self) {
        let begun = Instant::now();
        loop {
            self.process = Self::spawn(&self.folder, &self.settings);
            // It refuses to start while a process of the last one is still there.
            std::thread::sleep(Duration::from_millis(300));
            if self.process.try_wait().unwrap().is_none() {
                return self.wait_until_ready();
            }
            assert!(begun.elapsed() < PATIENCE, "the Postgres server does not start again");
        }
    }
}
