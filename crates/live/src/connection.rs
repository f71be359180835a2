//! One connection to one server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::address::Address;
use crate::url::RedisUrl;

/// The longest that connecting may take, with all that is said before the first command.
const CONNECT: Duration = Duration::from_millis(800);

/// How many commands wait to be written before who asks waits too.
const QUEUE: usize = 256;

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    encrypted: Option<TlsConnector>,
    speaker: RedisConnectionInfo,
}

/// A connection that many share. It ends with the last of its clones.
#[derive(Clone)]
pub(crate) struct Connection {
    commands: MultiplexedConnection,
    shared: Arc<Shared>,
}

struct Shared {
    carrier: AbortHandle,
    /// When the server last answered.
    answered: Mutex<Instant>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Connector {
    /// # Errors
    /// When what encrypts cannot be made ready.
    pub(crate) fn new(url: &RedisUrl) -> Result<Self, String> {
        let encrypted = url.encrypted.then(crate::tls::connector).transpose()?;
        let mut speaker = RedisConnectionInfo::default().set_db(url.database.into());
        if let Some(user) = &url.user {
            speaker = speaker.set_username(user);
        }
        if let Some(password) = &url.password {
            speaker = speaker.set_password(password);
        }
        Ok(Self { encrypted, speaker })
    }

    /// Connects for commands.
    pub(crate) async fn connect(&self, address: &Address) -> Result<Connection, String> {
        let speaker = self.speaker.clone().set_protocol(ProtocolVersion::RESP2);
        self.open(address, &speaker, AsyncConnectionConfig::new()).await
    }

    /// Connects for subscriptions: what the server says unasked goes to `pushes`.
    pub(crate) async fn listen(
        &self,
        address: &Address,
        pushes: impl AsyncPushSender,
    ) -> Result<Connection, String> {
        let speaker = self.speaker.clone().set_protocol(ProtocolVersion::RESP3);
        self.open(address, &speaker, AsyncConnectionConfig::new().set_push_sender(pushes)).await
    }

    async fn open(
        &self,
        address: &Address,
        speaker: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<Connection, String> {
        // Who asks sets limits of its own.
        let config = config.set_response_timeout(None).set_pipeline_buffer_size(QUEUE);
        let opened = async {
            let stream = TcpStream::connect((address.host.as_str(), address.port));
            let stream = stream.await.map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            let Some(encrypted) = &self.encrypted else {
                return Connection::over(stream, speaker, config).await;
            };
            let name = ServerName::try_from(address.host.clone()).map_err(|error| error.to_string())?;
            let stream = encrypted.connect(name, stream).await.map_err(|error| error.to_string())?;
            Connection::over(stream, speaker, config).await
        };
        let opened = tokio::time::timeout(CONNECT, opened).await;
        let opened = opened.unwrap_or_else(|_| Err(format!("no answer within {} ms", CONNECT.as_millis())));
        opened.map_err(|problem| format!("{address}: {problem}"))
    }
}

impl Connection {
    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        speaker: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<Self, String> {
        let opened = MultiplexedConnection::new_with_config(speaker, stream, config).await;
        let (commands, carrier) = opened.map_err(|error| error.to_string())?;
        let carrier = tokio::spawn(carrier).abort_handle();
        let shared = Shared { carrier, answered: Mutex::new(Instant::now()) };
        Ok(Self { commands, shared: Arc::new(shared) })
    }

    /// Asks one thing.
    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = self.commands.clone().send_packed_command(command).await?;
        self.heard();
        answer.extract_error()
    }

    /// Asks one thing of a server that is only about to have the slot.
    pub(crate) async fn ask_ahead(&self, command: Cmd) -> Result<Value, RedisError> {
        let mut both = Pipeline::new();
        both.cmd("ASKING").add_command(command);
        let mut answers = self.commands.clone().send_packed_commands(&both, 0, 2).await?;
        self.heard();
        answers.pop().unwrap_or_default().extract_error()
    }

    fn heard(&self) {
        *self.shared.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// For how long the server has answered nothing.
    pub(crate) fn silence(&self) -> Duration {
        self.shared.answered.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Whether both are one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Ends it, for all that share it.
    pub(crate) fn end(&self) {
        self.shared.carrier.abort();
    }
}
