//! Rooms over real sockets: replay, taking over, repeats, tokens, limits, REST (R1–R11, A1, A2, H2).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;
use wire::close::CloseCode;

use crate::member::{Api, Member, Way};
use crate::redis_servers::server::Server as RedisServer;
use crate::support::{Server, ended, interplay};

/// Every test of this list is made with one server, and with two nodes that share their rooms.
macro_rules! on_one_server_and_on_two_nodes {
    ($($test:ident)*) => {
        mod one_server {
            $(#[tokio::test] async fn $test() { super::$test(super::place()).await; })*
        }
        mod two_nodes {
            $(#[tokio::test] async fn $test() { super::$test(super::nodes()).await; })*
        }
    };
}

on_one_server_and_on_two_nodes! {
    what_was_missed_comes_in_order_and_then_what_is_live
    a_half_open_drop_loses_nothing
    a_send_is_once_however_often_it_is_repeated
    a_second_connection_takes_over_and_the_first_can_do_nothing_more
    where_to_go_on_is_the_members_choice
    messages_go_to_one_or_all_as_text_or_bytes_kept_or_not
    a_killed_server_keeps_rooms_and_numbers
    what_is_malformed_early_or_too_much_is_refused
    a_token_is_renewed_or_the_connection_ends
    a_room_that_all_have_left_is_gone_within_100_ms
    the_applications_server_sees_and_rules_its_rooms
    a_connection_of_which_its_client_never_heard_locks_nobody_out
    a_void_token_gives_nothing_back
    a_refused_send_is_not_taken_for_one_that_arrived
}

struct Place {
    server: Server,
    api: Api,
    data: tempfile::TempDir,
    /// Another node, and what both share.
    other: Option<(Server, tempfile::TempDir, RedisServer)>,
    joins: AtomicUsize,
}

fn place() -> Place {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = Api::of(&server, data.path());
    Place { server, api, data, other: None, joins: AtomicUsize::new(0) }
}

fn nodes() -> Place {
    let redis = RedisServer::start(&[]);
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::node(data.path(), &redis.url(), &[]);
    let second = Server::node(other.path(), &redis.url(), &[]);
    let api = Api::of_nodes(&server);
    Place { server, api, data, other: Some((second, other, redis)), joins: AtomicUsize::new(0) }
}

impl Place {
    /// One member after another comes to another node, where there are two.
    async fn join(&self, room: &str, member: &str) -> Member {
        let server = match &self.other {
            Some((other, _, _)) if self.joins.fetch_add(1, Ordering::Relaxed) % 2 == 1 => other,
            _ => &self.server,
        };
        Member::join(server, &self.api, room, member).await
    }

    /// SIGKILL for all, and other processes on the same data.
    fn restart(&mut self) {
        self.server.kill();
        let Some((other, data, redis)) = &mut self.other else {
            self.server = Server::start(self.data.path());
            self.api = Api::of(&self.server, self.data.path());
            return;
        };
        other.kill();
        self.server = Server::node(self.data.path(), &redis.url(), &[]);
        *other = Server::node(data.path(), &redis.url(), &[]);
        self.api = Api::of_nodes(&self.server);
    }
}

async fn what_was_missed_comes_in_order_and_then_what_is_live(place: Place) {
    let (mut ann, mut bob) = (place.join("r", "ann").await, place.join("r", "bob").await);
    ann.send_and_wait(json!("before")).await;
    assert_eq!(bob.message().await, "before");
    bob.vanish();
    while ann.presences.len() < 2 {
        ann.frame().await.unwrap();
    }
    for number in 0..20 {
        ann.send_and_wait(json!(number)).await;
    }
    bob.connect().await.unwrap();
    let returned = bob.returned.take().unwrap();
    assert_eq!((&returned["missed_message_count"], &returned["gap"]), (&json!(20), &Value::Null));
    assert!(returned["disconnect_duration"].as_f64().unwrap() < 20.0, "{returned}");
    ann.send_and_wait(json!("live")).await;
    for number in 0..20 {
        assert_eq!(bob.message().await, number);
    }
    assert_eq!(bob.message().await, "live");
    assert_eq!(ann.presences, ["bob: joined", "bob: dropped", "bob: returned"]);
    let tip = bob.frame_of("tip").await;
    assert_eq!(tip["sequence"], 22, "after a quiet moment the last number is told again");
}

async fn a_half_open_drop_loses_nothing(place: Place) {
    let way = Way::to(&place.server).await;
    let mut ann = place.join("r", "ann").await;
    let mut bob = Member::new(&way.address, "r", place.api.token("r", "bob"));
    bob.connect().await.unwrap();
    ann.send_and_wait(json!(0)).await;
    assert_eq!(bob.message().await, 0);
    way.swallow();
    let lost = bob.send(json!("swallowed")).await;
    for number in 1..=60 {
        ann.send_and_wait(json!(number)).await;
    }
    // The server believes that it is still there, and has sent it all of these.
    assert_eq!(place.api.get("/api/v1/rooms/r").1["members"][1]["is_connected"], true);
    bob.address.clone_from(&place.server.address);
    bob.connect().await.unwrap();
    for number in 1..=60 {
        assert_eq!(bob.message().await, number);
    }
    assert_eq!(bob.returned.as_ref().unwrap()["missed_message_count"], 60);
    assert_eq!(lost, 1);
    assert_eq!(ann.message().await, "swallowed", "what was swallowed is sent again");
}

async fn a_send_is_once_however_often_it_is_repeated(place: Place) {
    let (mut ann, mut bob) = (place.join("r", "ann").await, place.join("r", "bob").await);
    let sequence = ann.send_and_wait(json!("once")).await;
    for _ in 0..3 {
        ann.say(&json!({"type": "send", "n": 1, "data": "once"})).await;
        assert_eq!(ann.frame_of("sent").await["sequence"], sequence);
    }
    ann.send_and_wait(json!("after")).await;
    assert_eq!(bob.message().await, "once");
    assert_eq!(bob.message().await, "after");
    // A reload counts anew, under another name.
    ann.reload();
    ann.connect().await.unwrap();
    assert_eq!(ann.send_and_wait(json!("anew")).await, 3);
    assert_eq!(bob.message().await, "anew");
}

async fn a_second_connection_takes_over_and_the_first_can_do_nothing_more(place: Place) {
    let mut bob = place.join("r", "bob").await;
    let mut old = place.join("r", "ann").await;
    let mut new = Member::new(&place.server.address, "r", old.token.clone());
    new.connect().await.unwrap();
    old.send(json!("from the old one")).await;
    assert_eq!(old.closed_with().await, CloseCode::Replaced);
    // A client that was replaced without hearing of it does not push the other out.
    let after = old.connection();
    assert_eq!(old.connect_from(None, Some(after)).await, Err(CloseCode::Replaced));
    new.send_and_wait(json!("from the new one")).await;
    assert_eq!(bob.message().await, "from the new one");
}

async fn where_to_go_on_is_the_members_choice(place: Place) {
    let (mut ann, mut bob) = (place.join("r", "ann").await, place.join("r", "bob").await);
    for number in 1..=4 {
        ann.send_and_wait(json!(number)).await;
    }
    assert_eq!(bob.message().await, 1);
    assert_eq!(bob.message().await, 2);
    bob.acknowledge().await;
    bob.say(&json!({"type": "ping", "time": 5})).await;
    assert_eq!(bob.frame_of("pong").await["time"], 5.0);
    for (resume, first) in [(json!("acknowledged"), 3), (json!("start"), 1), (Value::Null, 3)] {
        bob.reload();
        bob.connect_from(Some(resume).filter(|resume| !resume.is_null()), None).await.unwrap();
        assert_eq!(bob.message().await, first);
    }
    bob.reload();
    bob.connect_from(Some(json!("live")), None).await.unwrap();
    ann.send_and_wait(json!(5)).await;
    assert_eq!(bob.message().await, 5);
    // Of an epoch that is not this room's, and of a number that never was: told as a gap.
    for (epoch, sequence) in [("0000000000000000", 2), (ann.joined["epoch"].as_str().unwrap(), 99)] {
        let resume = json!({"after": {"epoch": epoch, "sequence": sequence}});
        bob.reload();
        bob.connect_from(Some(resume), None).await.unwrap();
        assert_eq!(bob.returned.as_ref().unwrap()["gap"]["reason"], "epoch");
        assert_eq!(bob.message().await, 1);
    }
}

async fn messages_go_to_one_or_all_as_text_or_bytes_kept_or_not(place: Place) {
    let mut ann = place.join("r", "ann").await;
    let (mut bob, mut cid) = (place.join("r", "bob").await, place.join("r", "cid").await);
    ann.say(&json!({"type": "send", "n": 1, "to": "bob", "data": "for bob"})).await;
    ann.say(&json!({"type": "send", "n": 2, "class": "keep", "data": {"x": [1, null]}})).await;
    ann.say(&json!({"type": "send", "class": "volatile", "data": "now"})).await;
    ann.say(&json!({"type": "send", "n": 3, "to": "nobody", "data": 1})).await;
    let header = json!({"type": "send", "n": 3}).to_string();
    let mut bytes = u16::try_from(header.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[0, 200, 255]);
    ann.say_bytes(bytes).await;
    assert_eq!(ann.frame_of("refused").await["code"], "no_such_member");
    let mut others: Vec<Value> = Vec::new();
    for (member, count) in [(&mut bob, 4), (&mut cid, 3)] {
        let mut heard = Vec::new();
        for _ in 0..count {
            heard.push(member.message().await);
        }
        heard.sort_by_key(Value::to_string);
        others.push(json!(heard));
    }
    assert_eq!(others[0], json!(["for bob", "now", [0, 200, 255], {"x": [1, null]}]));
    assert_eq!(others[1], json!(["now", [0, 200, 255], {"x": [1, null]}]));
}

async fn a_killed_server_keeps_rooms_and_numbers(mut place: Place) {
    let (mut ann, mut bob) = (place.join("r", "ann").await, place.join("r", "bob").await);
    for number in 1..=5 {
        ann.send_and_wait(json!(number)).await;
    }
    assert_eq!(bob.message().await, 1);
    place.restart();
    for member in [&mut ann, &mut bob] {
        member.address.clone_from(&place.server.address);
        let epoch = member.joined["epoch"].clone();
        member.connect().await.unwrap();
        assert_eq!(member.joined["epoch"], epoch);
    }
    assert_eq!(ann.joined["accepted"], 5);
    assert_eq!(ann.send_and_wait(json!(6)).await, 6);
    for number in 2..=6 {
        assert_eq!(bob.message().await, number);
    }
    assert_eq!(bob.gaps + ann.gaps, 0);
}

#[tokio::test]
async fn only_the_rooms_own_tokens_open_it() {
    let place = place();
    let token = place.api.token("r", "ann");
    let (head, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let short = json!({"room": "r", "member": "ann", "expires_in": 1});
    let expired = place.api.post("/api/v1/tokens", &short).1["token"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let (other, foreign) = (self::place(), place.api.token("another", "ann"));
    let strange = other.api.token("r", "ann");
    for token in ["", "x", &forged, &expired, &foreign, &strange, &place.server.visit()] {
        let mut member = Member::new(&place.server.address, "r", token.to_owned());
        assert_eq!(member.connect().await, Err(CloseCode::Unauthorized), "{token}");
    }
    // And a room's token is nobody's visit.
    let mut page = crate::support::Page::open(&place.server, &token);
    assert_eq!(page.closed_with(), CloseCode::Unauthorized);
}

async fn what_is_malformed_early_or_too_much_is_refused(place: Place) {
    for text in ["", "{", "[]", r#"{"type":"fly"}"#, r#"{"type":"send","data":1}"#, r#"{"type":"join"}"#] {
        let mut member = place.join("r", "ann").await;
        member.say_text(text).await;
        assert_eq!(member.closed_with().await, CloseCode::BadMessage, "{text}");
        let mut early = Member::new(&place.server.address, "r", String::new());
        early.open().await;
        early.say_text(text).await;
        assert_eq!(early.closed_with().await, CloseCode::BadMessage, "{text}");
    }
    let mut member = place.join("r", "ann").await;
    member.say_bytes(vec![9, 9, 9]).await;
    assert_eq!(member.closed_with().await, CloseCode::BadMessage);
    let mut member = place.join("r", "ann").await;
    member.say(&json!({"type": "join", "protocol": 9, "token": member.token})).await;
    assert_eq!(member.closed_with().await, CloseCode::BadMessage, "who has joined does not join");
    let mut member = Member::new(&place.server.address, "r", place.api.token("r", "ann"));
    member.open().await;
    let join = json!({"type": "join", "protocol": 2, "token": member.token});
    member.say(&join).await;
    assert_eq!(member.closed_with().await, CloseCode::ProtocolMismatch);
    let mut member = place.join("r", "ann").await;
    member.send(json!("x".repeat(64 * 1024))).await;
    assert_eq!(member.frame_of("refused").await["code"], "too_long");
    member.send(json!("x".repeat(70 * 1024))).await;
    assert_eq!(member.closed_with().await, CloseCode::BadMessage);
    let mut member = place.join("r", "ann").await;
    for _ in 0..300 {
        member.say(&json!({"type": "ping"})).await;
    }
    assert_eq!(member.closed_with().await, CloseCode::TooFast);
    let mut member = place.join("r", "ann").await;
    for _ in 0..6 {
        member.send(json!("x".repeat(60 * 1024))).await;
    }
    assert_eq!(member.closed_with().await, CloseCode::TooFast);
}

#[tokio::test]
async fn who_does_not_say_who_it_is_is_closed() {
    let place = place();
    let mut member = Member::new(&place.server.address, "r", String::new());
    let begun = Instant::now();
    member.open().await;
    assert_eq!(member.closed_with().await, CloseCode::HandshakeTimeout);
    assert!(begun.elapsed() >= Duration::from_secs(9));
}

async fn a_token_is_renewed_or_the_connection_ends(place: Place) {
    let short = json!({"room": "r", "member": "ann", "expires_in": 3});
    let token = |body: &Value| place.api.post("/api/v1/tokens", body).1["token"].as_str().unwrap().to_owned();
    let mut ann = Member::new(&place.server.address, "r", token(&short));
    ann.connect().await.unwrap();
    assert!(ann.frame_of("token-expiring").await["seconds"].as_u64().unwrap() <= 3);
    ann.say(&json!({"type": "renew", "token": token(&short)})).await;
    assert!(ann.frame_of("renewed").await["seconds"].as_u64().unwrap() <= 3);
    assert_eq!(ann.closed_with().await, CloseCode::TokenExpired);
    // Somebody else's token renews nothing.
    let mut ann = place.join("r", "ann").await;
    ann.say(&json!({"type": "renew", "token": place.api.token("r", "bob")})).await;
    assert_eq!(ann.closed_with().await, CloseCode::Unauthorized);
    let listener = token(&json!({"room": "r", "member": "cid", "rights": []}));
    let mut cid = Member::new(&place.server.address, "r", listener);
    cid.connect().await.unwrap();
    cid.send(json!(1)).await;
    assert_eq!(cid.frame_of("refused").await["code"], "not_allowed");
}

async fn a_room_that_all_have_left_is_gone_within_100_ms(place: Place) {
    let (mut ann, mut bob) = (place.join("r", "ann").await, place.join("r", "bob").await);
    let epoch = ann.joined["epoch"].clone();
    bob.say(&json!({"type": "leave"})).await;
    assert_eq!(bob.closed_with().await, CloseCode::Left);
    assert_eq!(ann.frame_of("presence").await["state"], "joined");
    assert_eq!(ann.frame_of("presence").await["state"], "left");
    assert_eq!(place.api.get("/api/v1/rooms/r").1["members"].as_array().unwrap().len(), 1);
    ann.say(&json!({"type": "leave"})).await;
    assert_eq!(ann.closed_with().await, CloseCode::Left);
    let left = Instant::now();
    while place.api.get("/api/v1/rooms/r").0 != 404 {
        assert!(left.elapsed() < Duration::from_millis(100));
    }
    if let Some((_, _, redis)) = &place.other {
        while !redis.keys("{r}").is_empty() {
            assert!(left.elapsed() < Duration::from_millis(100), "{:?}", redis.keys(""));
        }
    }
    let again = place.join("r", "ann").await;
    assert_ne!(again.joined["epoch"], epoch);
    assert_eq!(again.joined["position"], 0);
}

async fn the_applications_server_sees_and_rules_its_rooms(place: Place) {
    let api = &place.api;
    let (status, sent) = api.post("/api/v1/rooms/r/messages", &json!({"data": {"hello": "early"}}));
    assert_eq!((status, &sent["sequence"]), (201, &json!(1)));
    let mut ann = Member::new(&place.server.address, "r", api.token("r", "ann"));
    ann.connect_from(Some(json!("start")), None).await.unwrap();
    assert_eq!(ann.message().await, json!({"hello": "early"}));
    ann.acknowledge().await;
    let (status, _) = api.post("/api/v1/rooms/r/messages", &json!({"data": 2, "to": "ann", "class": "keep"}));
    assert_eq!(status, 201);
    let second = ann.frame_of("message").await;
    assert_eq!((&second["data"], &second["class"], second.get("from")), (&json!(2), &json!("keep"), None));

    let (status, list) = api.get("/api/v1/rooms");
    assert_eq!((status, list["rooms"].as_array().unwrap().len(), &list["next"]), (200, 1, &Value::Null));
    assert_eq!(api.get("/api/v1/rooms?after=r").1["rooms"], json!([]));
    let (_, room) = api.get("/api/v1/rooms/r");
    assert_eq!((&room["room_id"], &room["last_sequence"]), (&json!("r"), &json!(2)));
    assert_eq!(room["members"][0]["user_id"], "ann");
    assert_eq!(room["members"][0]["last_sequence"], 1);

    // A member sees its own state, and is told what may help.
    let path = "/webrtc/rooms/r/reconnection-state";
    let (status, state) = api.ask("GET", path, &ann.token, None);
    assert_eq!((status, &state["room_id"], &state["user_id"]), (200, &json!("r"), &json!("ann")));
    assert_eq!(
        (&state["state"]["is_connected"], &state["state"]["last_sequence"]),
        (&json!(true), &json!(1))
    );
    let measured = |latency: f64, loss: f64| json!({"latency_ms": latency, "packet_loss_percent": loss, "jitter_ms": 5.0, "bandwidth_kbps": 5000.0});
    let path = "/webrtc/rooms/r/connection-quality";
    for (latency, loss, quality) in [(50.0, 0.5, "good"), (120.0, 0.0, "fair"), (50.0, 9.0, "poor")] {
        let (status, answer) = api.ask("POST", path, &ann.token, Some(&measured(latency, loss)));
        assert_eq!((status, answer["quality"].as_str()), (200, Some(quality)), "{answer}");
        assert_eq!(answer["recommendations"].as_array().unwrap().is_empty(), quality == "good");
        assert_eq!(api.get("/api/v1/rooms/r").1["members"][0]["connection_quality"], quality);
    }
    assert_eq!(api.ask("POST", path, &ann.token, Some(&measured(-1.0, 0.0))).0, 422);
    assert_eq!(api.ask("GET", "/webrtc/rooms/s/reconnection-state", &ann.token, None).0, 403);
    assert_eq!(api.ask("GET", "/webrtc/rooms/r/reconnection-state", "nonsense", None).0, 401);

    // A member is removed, and stays out.
    assert_eq!(api.ask("DELETE", "/api/v1/rooms/r/members/ann", &api.key, None).0, 204);
    assert_eq!(ann.closed_with().await, CloseCode::Kicked);
    assert_eq!(api.get("/api/v1/rooms/r").0, 404, "it was the last one");
    assert_eq!(ann.connect().await, Err(CloseCode::Kicked), "not even into another room of the name");
    let mut bob = place.join("s", "bob").await;
    let mut cid = place.join("s", "cid").await;
    assert_eq!(api.ask("DELETE", "/api/v1/rooms/s/members/cid", &api.key, None).0, 204);
    assert_eq!(cid.closed_with().await, CloseCode::Kicked);
    assert_eq!(cid.connect().await, Err(CloseCode::Kicked));
    assert_eq!(api.ask("DELETE", "/api/v1/rooms/s", &api.key, None).0, 204);
    assert_eq!(bob.closed_with().await, CloseCode::RoomDeleted);
    assert_eq!(api.ask("DELETE", "/api/v1/rooms/s", &api.key, None).0, 404);
}

#[tokio::test]
async fn who_was_removed_stays_out_though_the_server_is_killed() {
    let mut place = place();
    let _bob = place.join("r", "bob").await;
    // Before it ever came, too.
    let mut ann = Member::new(&place.server.address, "r", place.api.token("r", "ann"));
    let remove = |api: &Api| api.ask("DELETE", "/api/v1/rooms/r/members/ann", &api.key, None).0;
    assert_eq!(remove(&place.api), 204);
    for _ in 0..3 {
        assert_eq!(ann.connect().await, Err(CloseCode::Kicked));
        place.restart();
        ann.address.clone_from(&place.server.address);
    }
    // What is not certain of rooms is thrown away; not this.
    place.server.kill();
    let folder = place.data.path().join("rooms");
    let journal = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes.extend_from_slice(&[9; 40]);
    std::fs::write(&journal, bytes).unwrap();
    place.restart();
    assert_eq!(place.api.get("/api/v1/rooms/r").0, 404);
    ann.address.clone_from(&place.server.address);
    assert_eq!(ann.connect().await, Err(CloseCode::Kicked));
    // Another token lets it in again, once the second of its removal is over.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    place.join("r", "ann").await;
}

async fn a_connection_of_which_its_client_never_heard_locks_nobody_out(place: Place) {
    let mut ann = place.join("r", "ann").await;
    // The server has taken the next one on, and its answer is lost.
    let first = ann.connection();
    ann.vanish();
    for _ in 0..3 {
        ann.connect_from(None, Some(first)).await.unwrap();
    }
    // Another client of the member is another matter.
    let mut other = Member::new(&place.server.address, "r", ann.token.clone());
    other.connect().await.unwrap();
    assert_eq!(ann.connect_from(None, Some(first)).await, Err(CloseCode::Replaced));
}

#[tokio::test]
async fn who_is_not_known_any_more_is_told_what_is_missing() {
    let mut place = place();
    let (mut ann, mut bob) = (place.join("r", "ann").await, place.join("r", "bob").await);
    ann.send_and_wait(json!(1)).await;
    assert_eq!(bob.message().await, 1);
    // The machine loses power: what was written is not believed.
    place.server.kill();
    std::fs::remove_dir_all(place.data.path().join("rooms")).unwrap();
    place.restart();
    bob.address.clone_from(&place.server.address);
    bob.connect().await.unwrap();
    assert_eq!(bob.returned.as_ref().unwrap()["gap"]["reason"], "epoch");
    assert_eq!(bob.gaps, 1);
}

async fn a_void_token_gives_nothing_back(place: Place) {
    let _bob = place.join("r", "bob").await;
    let old = place.api.token("r", "ann");
    assert_eq!(place.api.ask("DELETE", "/api/v1/rooms/r/members/ann", &place.api.key, None).0, 204);
    let state = "/webrtc/rooms/r/reconnection-state";
    assert_eq!(place.api.ask("GET", state, &old, None).0, 401);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let listens = json!({"room": "r", "member": "ann", "rights": []});
    let token = place.api.post("/api/v1/tokens", &listens).1["token"].as_str().unwrap().to_owned();
    let mut ann = Member::new(&place.server.address, "r", token);
    ann.connect().await.unwrap();
    ann.say(&json!({"type": "renew", "token": old})).await;
    assert_eq!(ann.closed_with().await, CloseCode::Unauthorized);
    // And a room that somebody with such a token asked for is not begun.
    let mut cid = Member::new(&place.server.address, "s", place.api.token("s", "cid"));
    assert_eq!(place.api.ask("DELETE", "/api/v1/rooms/s/members/cid", &place.api.key, None).0, 204);
    assert_eq!(cid.connect().await, Err(CloseCode::Kicked));
    assert_eq!(place.api.get("/api/v1/rooms/s").0, 404);
}

async fn a_refused_send_is_not_taken_for_one_that_arrived(place: Place) {
    let (mut ann, _bob) = (place.join("r", "ann").await, place.join("r", "bob").await);
    let say = |n: u64, to: &str| json!({"type": "send", "n": n, "to": to, "data": n});
    ann.say(&say(1, "cid")).await;
    assert_eq!(ann.frame_of("refused").await["code"], "no_such_member");
    ann.say(&say(2, "bob")).await;
    assert_eq!(ann.frame_of("sent").await["sequence"], 1);
    ann.say(&say(1, "cid")).await;
    assert_eq!(ann.frame_of("refused").await["n"], 1, "the answer was lost, and it came again");
    ann.say(&say(2, "bob")).await;
    assert_eq!(ann.frame_of("sent").await["sequence"], 1);
    // null is something to say.
    ann.say(&json!({"type": "send", "n": 3, "data": null})).await;
    assert_eq!(ann.frame_of("sent").await["sequence"], 2);
}

#[test]
fn a_data_folder_is_one_servers() {
    let place = place();
    let data = place.data.path().to_str().unwrap();
    for command in [&["rooms"][..], &["demo", "--turn-ports", "off"]] {
        let arguments = [command, &["--listen", "127.0.0.1:0", "--data", data]].concat();
        let (code, said) = ended(&mut interplay(&arguments));
        assert_eq!(code, Some(1));
        assert!(said.contains("another") && said.contains(data), "{said}");
    }
    assert!(place.data.path().join("rooms/000001.log").exists(), "nothing in it was touched");
}

#[tokio::test]
async fn a_room_that_is_full_lets_go_of_who_was_away_for_long() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--room-members", "2", "--room-ttl", "1"]);
    let api = Api::of(&server, data.path());
    let mut ann = Member::join(&server, &api, "r", "ann").await;
    let limits = &ann.joined["limits"];
    assert_eq!((&limits["message_bytes"], &limits["messages_per_second"]), (&json!(65536), &json!(200.0)));
    let mut bob = Member::join(&server, &api, "r", "bob").await;
    let mut cid = Member::new(&server.address, "r", api.token("r", "cid"));
    assert_eq!(cid.connect().await, Err(CloseCode::RoomFull));
    bob.vanish();
    let begun = Instant::now();
    while cid.connect().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while ann.presences.len() < 4 {
        ann.frame().await.unwrap();
    }
    assert_eq!(ann.presences, ["bob: joined", "bob: dropped", "bob: left", "cid: joined"]);
}

#[tokio::test]
async fn rooms_are_served_without_an_experiment() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_as(&["rooms"], data.path());
    let api = Api::of(&server, data.path());
    let (mut ann, mut bob) =
        (Member::join(&server, &api, "r", "ann").await, Member::join(&server, &api, "r", "bob").await);
    ann.send_and_wait(json!("hello")).await;
    assert_eq!(bob.message().await, "hello");
    assert_eq!(server.get("/readyz").0, 200);
    let (_, document) = api.get("/api/v1/openapi.json");
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert!(paths.iter().all(|path| !path.contains("visits") && !path.contains("games")), "{paths:?}");
    let (status, page) = server.get("/");
    assert!(status == 200 && page.contains("Interplay"), "the page that tells how to use it");
    assert_eq!(server.get("/ws").0, 404);
}

#[test]
fn bad_requests_get_problems_that_name_the_cure() {
    let place = place();
    let api = &place.api;
    let requests = [
        ("POST", "/api/v1/tokens"),
        ("GET", "/api/v1/rooms"),
        ("GET", "/api/v1/rooms/r"),
        ("DELETE", "/api/v1/rooms/r"),
        ("DELETE", "/api/v1/rooms/r/members/ann"),
        ("POST", "/api/v1/rooms/r/messages"),
    ];
    for (method, path) in requests {
        for key in ["", "nonsense", &place.server.visit()] {
            let (status, problem) = api.ask(method, path, key, None);
            assert_eq!((status, &problem["status"]), (401, &json!(401)), "{method} {path}");
        }
    }
    let bad = [
        json!({}),
        json!([]),
        json!(["r", "ann", null, null]),
        json!({"room": "r"}),
        json!({"room": "a/b", "member": "ann"}),
        json!({"room": "r", "member": ""}),
        json!({"room": "r", "member": "ann", "expires_in": 0}),
        json!({"room": "r", "member": "ann", "expires_in": 1.5}),
        json!({"room": "r", "member": "ann", "expires_in": -1e300}),
        json!({"room": "r", "member": "ann", "rights": ["fly"]}),
        json!({"room": "r", "member": "ann", "newer": 1}),
    ];
    for body in bad {
        let (status, problem) = api.post("/api/v1/tokens", &body);
        assert!(status == 422 && problem["detail"].as_str().unwrap().len() > 10, "{body}: {problem}");
    }
    assert_eq!(api.get("/api/v1/rooms/none").0, 404);
    assert_eq!(api.get("/api/v1/rooms/a%20b").0, 422);
    assert_eq!(api.post("/api/v1/rooms/r/messages", &json!({"data": 1, "to": "nobody"})).0, 404);
    assert_eq!(api.post("/api/v1/rooms/r/messages", &json!({"data": "x".repeat(65536)})).0, 413);
}

#[test]
fn an_address_has_so_many_connections_and_a_request_so_much_time() {
    use std::io::{Read, Write};
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        data.path(),
        &["--connections-per-address", "3", "--trusted-proxies", "127.0.0.1"],
    );
    let open = |address: &str| {
        let request = tungstenite::client::IntoClientRequest::into_client_request(format!(
            "ws://{}/ws/rooms/r",
            server.address
        ));
        let mut request = request.unwrap();
        request.headers_mut().insert("x-forwarded-for", address.parse().unwrap());
        tungstenite::connect(request).map(|(socket, _)| socket)
    };
    let status = |address: &str| match open(address) {
        Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("{other:?}"),
    };
    let mut held: Vec<_> = (0..3).map(|_| open("9.9.9.9").unwrap()).collect();
    assert_eq!(status("9.9.9.9"), 429);
    held.push(open("8.8.8.8").unwrap());
    held.remove(0).close(None).unwrap();
    let begun = Instant::now();
    while open("9.9.9.9").is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "a closed connection is still counted");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.contains(r#"interplay_refusals_total{reason="connections"}"#), "{metrics}");

    // Another site's page.
    let mut request = tungstenite::client::IntoClientRequest::into_client_request(format!(
        "ws://{}/ws/rooms/r",
        server.address
    ))
    .unwrap();
    request.headers_mut().insert("origin", "https://elsewhere.example".parse().unwrap());
    assert!(
        matches!(tungstenite::connect(request), Err(tungstenite::Error::Http(answer)) if answer.status() == 403)
    );

    // A head that never ends.
    let mut slow = std::net::TcpStream::connect(&server.address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    slow.write_all(b"GET /ws/rooms/r HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let begun = Instant::now();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    assert!((9..15).contains(&begun.elapsed().as_secs()), "closed after {:?}", begun.elapsed());

    // Each refusal has its own name.
    let api = Api::of(&server, data.path());
    assert_eq!(api.ask("GET", "/api/v1/rooms", "nonsense", None).0, 401);
    assert_eq!(api.ask("GET", "/webrtc/rooms/r/reconnection-state", "nonsense", None).0, 401);
    let (_, metrics) = server.get("/metrics");
    for reason in ["connections", "origin", "head", "api_key", "token"] {
        let line = format!("interplay_refusals_total{{reason=\"{reason}\"}}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[test]
fn a_client_in_another_language_misses_nothing() {
    let place = place();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/python/rooms.py");
    let mut python = std::process::Command::new("python3");
    let (code, said) = ended(python.args([script, &place.server.address, &place.api.key]));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_short_api_key_is_refused_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    let mut command = interplay(&["demo", "--listen", "127.0.0.1:0", "--turn-ports", "off", "--data"]);
    let (code, said) = ended(command.arg(data.path()).env("INTERPLAY_API_KEY", "short"));
    assert_eq!(code, Some(1));
    assert!(said.contains("INTERPLAY_API_KEY must have at least 32 bytes"), "{said}");
}
