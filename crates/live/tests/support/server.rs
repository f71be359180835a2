//! One server, on a port and in a folder of its own, both of which go with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use redis::{Connection, ConnectionLike as _, Value};

use super::PATIENCE;

/// A running server, which ends with this process, however that ends.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: PathBuf,
    settings: Vec<String>,
    process: Child,
    said: Mutex<Option<Connection>>,
    /// Ends when this does, and takes the server and its folder with it.
    _watched: ChildStdin,
}

/// Ports that nobody has just now, and that no other test of this process is given.
pub(crate) fn ports<const N: usize>() -> [u16; N] {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    let mut held = Vec::new();
    core::array::from_fn(|_| {
        loop {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            held.push(listener);
            if !given.contains(&port) {
                given.push(port);
                return port;
            }
        }
    })
}

impl Server {
    /// One that all tests of this process share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Server> = LazyLock::new(|| Server::start(&[]));
        &SHARED
    }

    /// One that keeps nothing on the disk unless its settings say so.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let [port] = ports();
        Self::start_on(port, settings)
    }

    pub(crate) fn start_on(port: u16, settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("interplay-redis-").tempdir().unwrap().keep();
        let script = "cat > /dev/null; kill -KILL $(cat \"$0/pid\") 2> /dev/null; sleep 0.1; rm -rf \"$0\"";
        let mut watcher = Command::new("sh");
        watcher.args(["-c", script]).arg(&folder).stdin(Stdio::piped()).stderr(Stdio::null());
        // What interrupts the tests must not end it.
        let watched = watcher.process_group(0).spawn().unwrap().stdin.take().unwrap();
        let settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let process = Self::spawn(&folder, port, &settings);
        let said = Mutex::new(None);
        let server = Self { port, folder, settings, process, said, _watched: watched };
        server.wait_until_ready();
        server
    }

    fn spawn(folder: &PathBuf, port: u16, settings: &[String]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
        command.arg(folder).arg("--pidfile").arg(folder.join("pid")).args(settings);
        command.stdin(Stdio::null()).stdout(log).process_group(0);
        let missing = "the tests need a Redis server: install Debian's redis-server, or run cargo xtask test";
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; {missing}"))
    }

    fn wait_until_ready(&self) {
        let begun = Instant::now();
        while self.try_say(&["PING"]).is_err() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "the Redis server does not start: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn try_say(&self, words: &[&str]) -> redis::RedisResult<Value> {
        let mut said = self.said.lock().unwrap();
        if said.as_ref().is_none_or(|connection| !connection.is_open()) {
            let client = redis::Client::open(self.url())?;
            *said = Some(client.get_connection_with_timeout(Duration::from_secs(2))?);
        }
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(said.as_mut().unwrap())
    }

    /// Says something to it.
    pub(crate) fn say(&self, words: &[&str]) -> Value {
        self.try_say(words).unwrap()
    }

    /// The same, for what is answered with text.
    pub(crate) fn text(&self, words: &[&str]) -> String {
        redis::from_redis_value(self.say(words)).unwrap()
    }

    pub(crate) fn number(&self, words: &[&str]) -> i64 {
        redis::from_redis_value(self.say(words)).unwrap()
    }

    /// Its keys that have this in them.
    pub(crate) fn keys(&self, part: &str) -> Vec<String> {
        redis::from_redis_value(self.say(&["KEYS", &format!("*{part}*")])).unwrap()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// It stands still.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// As when its machine dies.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // Its number may be another's soon.
        std::fs::remove_file(self.folder.join("pid")).unwrap();
        *self.said.lock().unwrap() = None;
    }

    pub(crate) fn start_again(&mut self) {
        self.process = Self::spawn(&self.folder, self.port, &self.settings);
        self.wait_until_ready();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its watcher does the rest.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(self.folder.join("pid"));
    }
}
