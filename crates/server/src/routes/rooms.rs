//! Rooms on their own: their WebSocket, what an application's own server asks, and what a member asks (H2).

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use metrics::counter;
use room::log::Draft;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wire::lane::Quality;
use wire::room::{Class, Epoch, MemberId, Payload, RoomId};

use super::openapi::{Absent, Foreign, Malformed, Name, TooLong, Unauthorized, Unavailable, WrongType};
use super::{App, authorize, bearer, unauthorized};
use crate::problem::{Object, Problem};
use crate::rooms::{self, Claims, LONGEST_TOKEN, PublishError, Right, RoomInfo, Unanswered};
use crate::stage::wall_time;

/// For how long a token is good when nobody says.
const USUAL_TOKEN: Duration = Duration::from_secs(24 * 60 * 60);

/// How many rooms a list has at a time.
const PAGE: usize = 100;

fn no_room() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such room")
}

/// Redis does not answer.
fn unanswered(_: Unanswered) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "rooms cannot be asked now; try again")
}

fn no_member() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "the room has no such member")
}

/// The member of this room whose token was sent.
async fn member(app: &App, headers: &HeaderMap, room: &str) -> Result<Claims, Problem> {
    let claims = bearer(headers).and_then(|token| app.room_tokens.read(token)).ok_or_else(unauthorized)?;
    if app.rooms.is_revoked(&claims).await {
        return Err(unauthorized());
    }
    if claims.room.as_str() != room {
        counter!("interplay_refusals_total", "reason" => "token").increment(1);
        return Err(Problem::new(StatusCode::FORBIDDEN, "the token is for another room"));
    }
    Ok(claims)
}

fn name<T: std::str::FromStr<Err = wire::room::NameError>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: wire::room::NameError| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{text:?}: {error}"))
    })
}

/// Opens a room's WebSocket; whose it is says the token in `join`.
pub(super) async fn upgrade(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    room: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let room: RoomId = name(&room?.0)?;
    super::ws::same_origin(&headers, &app.origins)?;
    let counted = super::ws::enter(&app, peer, &headers)?;
    let fence = app.rooms.accept();
    // A send's JSON may be longer than its payload by its other keys.
    let longest = app.rooms.limits().message + 1024;
    // What waits leaves together; it is flushed when nothing more waits.
    let upgrade = upgrade.write_buffer_size(4096).read_buffer_size(1024);
    let upgrade = upgrade.max_message_size(longest).max_frame_size(longest);
    let open = app.sockets.subscribe();
    Ok(upgrade.on_upgrade(move |socket| async move {
        rooms::serve(socket, (app.rooms, app.room_tokens), (room, fence), app.drain, open).await;
        drop(counted);
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    #[schema(value_type = Name)]
    room: RoomId,
    #[schema(value_type = Name)]
    member: MemberId,
    /// What the member may do beside listening; `["send"]` when nothing is said.
    rights: Option<Vec<Right>>,
    /// For how many seconds; a day when nothing is said, 30 days at most.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 2_592_000)]
    expires_in: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    token: String,
    /// The path of the room's WebSocket.
    path: String,
    /// Milliseconds since the Unix epoch.
    expires_at: u64,
}

/// What becomes of a message that somebody misses.
#[derive(ToSchema)]
#[schema(as = Class, rename_all = "snake_case")]
#[expect(dead_code, reason = "the shape of another crate's type")]
enum ClassSchema {
    Keep,
    Normal,
    Volatile,
}

/// The grade of a connection.
#[derive(ToSchema)]
#[schema(as = Quality, rename_all = "snake_case")]
#[expect(dead_code, reason = "the shape of another crate's type")]
enum QualitySchema {
    Good,
    Fair,
    Poor,
}

/// Makes a token with which a member joins a room.
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    tag = "Rooms, for an application's server",
    request_body = TokenRequest,
    security(("api_key" = [])),
    responses(
        (status = 201, description = "The token.", body = TokenAnswer),
        Malformed, Unauthorized, TooLong, WrongType,
    )
)]
pub(super) async fn create_token(
    State(app): State<App>,
    headers: HeaderMap,
    request: Result<Object<TokenRequest>, Problem>,
) -> Result<(StatusCode, Json<TokenAnswer>), Problem> {
    authorize(&app, &headers)?;
    let Object(TokenRequest { room, member, rights, expires_in }) = request?;
    // JSON's integers may be written with a fraction of zero.
    let lifetime = expires_in.map_or(Ok(USUAL_TOKEN), Duration::try_from_secs_f64).unwrap_or_default();
    let is_whole = lifetime.subsec_nanos() == 0;
    if !is_whole || !(1..=LONGEST_TOKEN).contains(&lifetime.as_secs()) {
        let detail = format!("`expires_in` is 1 to {LONGEST_TOKEN} whole seconds");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let path = format!("/ws/rooms/{room}");
    let rights = rights.unwrap_or_else(|| vec![Right::Send]);
    let issued = app.room_tokens.issue(room, member, rights, lifetime);
    let (token, expires) = issued.map_err(|error| Problem::internal(error.as_ref()))?;
    Ok((StatusCode::CREATED, Json(TokenAnswer { token, path, expires_at: expires * 1000 })))
}

/// A room, for its application's server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoomAnswer {
    #[schema(value_type = Name)]
    room_id: RoomId,
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    epoch: Epoch,
    last_sequence: u64,
    buffered_messages: usize,
    buffered_bytes: usize,
    members: Vec<MemberAnswer>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MemberAnswer {
    #[schema(value_type = Name)]
    user_id: MemberId,
    #[serde(flatten)]
    state: MemberStateAnswer,
}

/// A member's state (R5).
#[derive(Debug, Serialize, ToSchema)]
struct MemberStateAnswer {
    /// The last message that it acknowledged.
    last_sequence: u64,
    /// Milliseconds since the Unix epoch.
    last_seen: u64,
    is_connected: bool,
    #[schema(value_type = Option<QualitySchema>)]
    connection_quality: Option<Quality>,
}

impl From<rooms::MemberState> for MemberStateAnswer {
    fn from(member: rooms::MemberState) -> Self {
        Self {
            last_sequence: member.last_sequence,
            last_seen: member.last_seen.0,
            is_connected: member.is_connected,
            connection_quality: member.quality,
        }
    }
}

impl From<RoomInfo> for RoomAnswer {
    fn from(info: RoomInfo) -> Self {
        let member = |member: rooms::MemberState| MemberAnswer {
            user_id: member.member.clone(),
            state: member.into(),
        };
        Self {
            room_id: info.id,
            epoch: info.epoch,
            last_sequence: info.last_sequence,
            buffered_messages: info.buffered_messages,
            buffered_bytes: info.buffered_bytes,
            members: info.members.into_iter().map(member).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only rooms after this name.
    after: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListAnswer {
    rooms: Vec<RoomAnswer>,
    /// For `after`, when there are more.
    #[schema(value_type = Option<Name>)]
    next: Option<RoomId>,
}

/// The rooms, by name, a hundred at a time.
#[utoipa::path(
    get,
    path = "/api/v1/rooms",
    tag = "Rooms, for an application's server",
    params(("after" = Option<String>, Query, description = "Only rooms after this name.")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "Rooms, by name.", body = ListAnswer),
        Malformed, Unauthorized, Unavailable,
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ListAnswer>, Problem> {
    authorize(&app, &headers)?;
    let Query(ListQuery { after }) = query?;
    let mut rooms = app.rooms.list(after.as_deref(), PAGE + 1).await.map_err(unanswered)?;
    let next = (rooms.len() > PAGE).then(|| rooms[PAGE - 1].id.clone());
    rooms.truncate(PAGE);
    Ok(Json(ListAnswer { rooms: rooms.into_iter().map(Into::into).collect(), next }))
}

/// One room.
#[utoipa::path(
    get,
    path = "/api/v1/rooms/{room}",
    tag = "Rooms, for an application's server",
    params(("room" = Name, Path, description = "The room.")),
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The room.", body = RoomAnswer),
        Malformed, Unauthorized, Absent, Unavailable,
    )
)]
pub(super) async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    room: Result<Path<String>, PathRejection>,
) -> Result<Json<RoomAnswer>, Problem> {
    authorize(&app, &headers)?;
    let info = app.rooms.info(&name(&room?.0)?).await.map_err(unanswered)?;
    info.map(|info| Json(info.into())).ok_or_else(no_room)
}

/// Ends a room: its members are told to stop, and nothing of it is kept.
#[utoipa::path(
    delete,
    path = "/api/v1/rooms/{room}",
    tag = "Rooms, for an application's server",
    params(("room" = Name, Path, description = "The room.")),
    security(("api_key" = [])),
    responses(
        (status = 204, description = "It is gone."),
        Malformed, Unauthorized, Absent, Unavailable,
    )
)]
pub(super) async fn delete(
    State(app): State<App>,
    headers: HeaderMap,
    room: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    authorize(&app, &headers)?;
    app.rooms
        .delete(&name(&room?.0)?)
        .await
        .map_err(unanswered)?
        .then_some(StatusCode::NO_CONTENT)
        .ok_or_else(no_room)
}

/// Removes a member if it is there; the tokens that it has do not open the room again.
#[utoipa::path(
    delete,
    path = "/api/v1/rooms/{room}/members/{member}",
    tag = "Rooms, for an application's server",
    params(("room" = Name, Path, description = "The room."), ("member" = Name, Path, description = "The member.")),
    security(("api_key" = [])),
    responses(
        (status = 204, description = "It is gone."),
        Malformed, Unauthorized, Unavailable,
    )
)]
pub(super) async fn kick(
    State(app): State<App>,
    headers: HeaderMap,
    names: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    authorize(&app, &headers)?;
    let Path((room, member)) = names?;
    let (room, member) = (name(&room)?, name(&member)?);
    let kicked = app.rooms.kick(room, member).await;
    kicked.map(|()| StatusCode::NO_CONTENT).map_err(|error| match error.downcast::<Unanswered>() {
        Ok(error) => unanswered(error),
        Err(error) => Problem::internal(error.as_ref()),
    })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishRequest {
    /// Any JSON, 64 KiB at most.
    data: Value,
    #[schema(value_type = Option<Name>)]
    to: Option<MemberId>,
    /// `normal` when nothing is said.
    #[schema(value_type = Option<ClassSchema>)]
    class: Option<Class>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PublishAnswer {
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    epoch: Epoch,
    /// The message's number; none when it is volatile.
    sequence: Option<u64>,
}

/// Sends a message into a room in the application's own name; a room that is not there begins.
#[utoipa::path(
    post,
    path = "/api/v1/rooms/{room}/messages",
    tag = "Rooms, for an application's server",
    params(("room" = Name, Path, description = "The room.")),
    request_body = PublishRequest,
    security(("api_key" = [])),
    responses(
        (status = 201, description = "The message is kept.", body = PublishAnswer),
        Malformed, Unauthorized, Absent, TooLong, WrongType, Unavailable,
    )
)]
pub(super) async fn publish(
    State(app): State<App>,
    headers: HeaderMap,
    room: Result<Path<String>, PathRejection>,
    request: Result<Object<PublishRequest>, Problem>,
) -> Result<(StatusCode, Json<PublishAnswer>), Problem> {
    authorize(&app, &headers)?;
    let room = name(&room?.0)?;
    let Object(PublishRequest { data, to, class }) = request?;
    let json = data.to_string();
    if json.len() > app.rooms.limits().message {
        let detail = format!("`data` has {} bytes at most", app.rooms.limits().message);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let draft = Draft { to, class: class.unwrap_or_default(), payload: Payload::Json(json.into()) };
    match app.rooms.publish(&room, draft).await {
        Ok((epoch, sequence)) => Ok((StatusCode::CREATED, Json(PublishAnswer { epoch, sequence }))),
        Err(PublishError::NoSuchMember) => Err(no_member()),
        Err(PublishError::TooManyRooms) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "there are as many rooms as may be"))
        }
        Err(PublishError::Unavailable) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the message could not be kept"))
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReconnectionState {
    #[schema(value_type = Name)]
    room_id: RoomId,
    #[schema(value_type = Name)]
    user_id: MemberId,
    state: MemberStateAnswer,
}

/// What the server knows of the member whose token this is.
#[utoipa::path(
    get,
    path = "/webrtc/rooms/{room_id}/reconnection-state",
    tag = "Rooms, for a member",
    params(("room_id" = Name, Path, description = "The room.")),
    security(("room_token" = [])),
    responses(
        (status = 200, description = "The member's state.", body = ReconnectionState),
        Malformed, Unauthorized, Foreign, Absent, Unavailable,
    )
)]
pub(super) async fn reconnection_state(
    State(app): State<App>,
    headers: HeaderMap,
    room: Result<Path<String>, PathRejection>,
) -> Result<Json<ReconnectionState>, Problem> {
    let claims = member(&app, &headers, &room?.0).await?;
    let state = app.rooms.member(&claims.room, &claims.member).await.map_err(unanswered)?;
    let state = state.ok_or_else(no_member)?;
    Ok(Json(ReconnectionState { room_id: claims.room, user_id: claims.member, state: state.into() }))
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// The round trip, in milliseconds.
    #[schema(minimum = 0)]
    latency_ms: f64,
    #[schema(minimum = 0, maximum = 100)]
    packet_loss_percent: f64,
    #[schema(minimum = 0)]
    jitter_ms: f64,
    /// Kilobits a second.
    #[schema(minimum = 0)]
    bandwidth_kbps: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QualityAnswer {
    #[schema(value_type = QualitySchema)]
    quality: Quality,
    metrics: Measured,
    recommendations: Vec<&'static str>,
    /// Milliseconds since the Unix epoch.
    timestamp: u64,
}

/// Grades a member's connection by what it measured, and says what may help.
#[utoipa::path(
    post,
    path = "/webrtc/rooms/{room_id}/connection-quality",
    tag = "Rooms, for a member",
    params(("room_id" = Name, Path, description = "The room.")),
    request_body = Measured,
    security(("room_token" = [])),
    responses(
        (status = 200, description = "The grade, and what may help.", body = QualityAnswer),
        Malformed, Unauthorized, Foreign, Absent, TooLong, WrongType, Unavailable,
    )
)]
pub(super) async fn connection_quality(
    State(app): State<App>,
    headers: HeaderMap,
    room: Result<Path<String>, PathRejection>,
    measured: Result<Object<Measured>, Problem>,
) -> Result<Json<QualityAnswer>, Problem> {
    let claims = member(&app, &headers, &room?.0).await?;
    let Object(measured) = measured?;
    let Measured { latency_ms, packet_loss_percent, jitter_ms, bandwidth_kbps } = measured;
    let sound =
        [latency_ms, packet_loss_percent, jitter_ms, bandwidth_kbps].iter().all(|value| *value >= 0.0)
            && packet_loss_percent <= 100.0;
    if !sound {
        let detail = "measures are not negative, and a loss is 100 percent at most";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let quality = Quality::of(latency_ms, packet_loss_percent / 100.0, jitter_ms);
    let told = app.rooms.set_quality(&claims.room, &claims.member, quality).await;
    if !told.map_err(unanswered)? {
        return Err(no_member());
    }
    let recommendations = recommendations(&measured);
    Ok(Json(QualityAnswer { quality, metrics: measured, recommendations, timestamp: wall_time().0 }))
}

/// What a person can do about a connection.
fn recommendations(measured: &Measured) -> Vec<&'static str> {
    let advice = [
        (
            measured.latency_ms > 100.0,
            "Answers take long. A cable, or a place nearer to the router, often helps.",
        ),
        (
            measured.packet_loss_percent > 1.0,
            "Some of what is sent is lost. Close other programs that use the network, or change from Wi-Fi to a cable.",
        ),
        (
            measured.jitter_ms > 20.0,
            "The connection is uneven. Pause downloads and video calls on this network.",
        ),
        (measured.bandwidth_kbps < 100.0, "The connection is slow. Another network may be better."),
    ];
    advice.into_iter().filter(|(holds, _)| *holds).map(|(_, words)| words).collect()
}
