//! The control channel: who may speak, what is refused, and with which code it closes (A1, A2, R7, R8).

use wire::PROTOCOL_VERSION;
use wire::close::CloseCode;
use wire::control::{ClientMessage, MAX_CONTROL_BYTES, ServerMessage, Signal, with_counter};

use crate::support::{Page, Server};

fn server() -> (Server, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    (Server::start(data.path()), data)
}

fn ping(time: f64) -> ClientMessage {
    ClientMessage::Ping { time, sequence: 0, rtt_millis: None, frame: None }
}

#[test]
fn only_a_token_of_this_server_opens_the_channel() {
    let (server, _data) = server();
    let token = server.visit();
    let (head, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    for token in ["", "nonsense", &forged] {
        assert_eq!(Page::open(&server, token).closed_with(), CloseCode::Unauthorized, "{token:?}");
    }
    // Another server's token, well-formed and signed, is not this one's.
    let (other, _other_data) = self::server();
    assert_eq!(Page::open(&other, &token).closed_with(), CloseCode::Unauthorized);
    assert!(matches!(Page::open(&server, &token).hear(), Ok(ServerMessage::Welcome { .. })));
}

#[test]
fn another_protocol_version_is_told_to_load_the_page_again() {
    let (server, _data) = server();
    let mut page = Page::connect(&server);
    page.say(&ClientMessage::Hello {
        protocol: PROTOCOL_VERSION + 1,
        token: server.visit(),
        page: 1,
        epoch: String::new(),
        sequence: 0,
        texts: None,
    });
    assert_eq!(page.closed_with(), CloseCode::ProtocolMismatch);
}

#[test]
fn what_is_no_message_closes_the_channel() {
    let (server, _data) = server();
    let ping = serde_json::to_string(&ping(1.0)).unwrap();
    let mut early = Page::connect(&server);
    early.say_text(&ping);
    assert_eq!(early.closed_with(), CloseCode::BadMessage, "hello comes first");
    let long = format!("{{\"type\":\"ping\",\"time\":1,\"pad\":\"{}\"}}", "x".repeat(MAX_CONTROL_BYTES));
    for text in ["", "{", "[]", "{\"type\":\"no_such\"}", "{\"type\":\"ping\"}", &long] {
        let mut page = Page::open(&server, &server.visit());
        page.hear().unwrap();
        page.say_text(text);
        assert_eq!(page.closed_with(), CloseCode::BadMessage, "{text:.40}");
    }
    let mut page = Page::open(&server, &server.visit());
    page.say_text("{\"type\":\"ping\",\"time\":5,\"newer\":true}");
    while !matches!(page.hear().unwrap(), ServerMessage::Pong { time: 5.0, .. }) {}
}

#[test]
fn a_second_connection_of_a_visit_takes_over() {
    let (server, _data) = server();
    let token = server.visit();
    let mut first = Page::open(&server, &token);
    let Ok(ServerMessage::Welcome { participant: one, .. }) = first.hear() else { panic!("no welcome") };
    let mut second = Page::open(&server, &token);
    let Ok(ServerMessage::Welcome { participant: same, .. }) = second.hear() else { panic!("no welcome") };
    assert_eq!(one, same);
    assert_eq!(first.closed_with(), CloseCode::Replaced);
    // What the first did not say any more, the second may.
    second.enter_lobby();
    while !matches!(second.hear().unwrap(), ServerMessage::LobbyStatus { waiting: 1, needed: 2, .. }) {}
}

#[test]
fn a_platforms_id_alone_takes_no_open_visit_over() {
    let (server, _data) = server();
    let entry = serde_json::json!({ "PROLIFIC_PID": "5f1e" });
    let first = server.visit_of(&entry);
    // While nobody has it open, whoever says that id may go on with it.
    let [second, third] = [(); 2].map(|()| server.visit_of(&entry));
    let mut page = Page::open(&server, &first);
    let Ok(ServerMessage::Welcome { visit, .. }) = page.hear() else { panic!("no welcome") };
    assert_eq!(Page::load(&server, &second, 2).closed_with(), CloseCode::Replaced);
    page.say(&ping(3.0));
    page.hear_until(|message| matches!(message, ServerMessage::Pong { time: 3.0, .. }).then_some(()));
    drop(page);
    // Closed, it opens to another; which then has it, and whoever began the visit may always come back.
    let mut page = loop {
        let mut page = Page::load(&server, &second, 3);
        if let Ok(ServerMessage::Welcome { visit: same, .. }) = page.hear() {
            assert_eq!(same, visit);
            break page;
        }
    };
    assert_eq!(Page::load(&server, &third, 4).closed_with(), CloseCode::Replaced);
    let mut reloaded = Page::load(&server, &second, 5);
    assert!(matches!(reloaded.hear(), Ok(ServerMessage::Welcome { .. })), "the same token takes over (R7)");
    assert_eq!(page.closed_with(), CloseCode::Replaced);
    assert!(matches!(Page::load(&server, &first, 6).hear(), Ok(ServerMessage::Welcome { .. })));
}

#[test]
fn who_speaks_too_fast_is_stopped() {
    let (server, _data) = server();
    let mut page = Page::open(&server, &server.visit());
    for _ in 0..1000 {
        page.say(&ping(0.0));
    }
    assert_eq!(page.closed_with(), CloseCode::TooFast);
}

#[test]
fn nobody_signals_into_a_game_of_others_or_as_another() {
    let (server, _data) = server();
    let mut pages = [(); 3].map(|()| Page::open(&server, &server.visit()));
    for page in &mut pages[..2] {
        page.enter_lobby();
    }
    let [first, second] = [0, 1].map(|at| pages[at].game_start());
    let signal = |to, candidate: &str| ClientMessage::Signal {
        game_id: first.game_id,
        to,
        signal: Signal::Candidate {
            attempt: 0,
            candidate: candidate.into(),
            sdp_mid: None,
            sdp_m_line_index: None,
        },
    };
    pages[2].say(&signal(second.seat, "a stranger's"));
    pages[2].say(&ping(7.0));
    // The stranger is heard, or hung up on; either way nothing of it reaches the game.
    while let Ok(message) = pages[2].hear() {
        if matches!(message, ServerMessage::Pong { time: 7.0, .. }) {
            break;
        }
    }
    pages[0].say(&signal(second.seat, "a partner's"));
    loop {
        if let ServerMessage::Signal { from, signal, .. } = pages[1].hear().unwrap() {
            assert_eq!(from, first.seat);
            assert!(matches!(signal, Signal::Candidate { candidate, .. } if candidate == "a partner's"));
            break;
        }
    }
}

/// Hears up to the next signal, which is put to the others; tells how many there are. Nothing before it may be missing.
fn heard_of(page: &mut Page, last: &mut u64, heard: &mut Vec<String>) -> usize {
    loop {
        let (place, message) = page.hear_placed().unwrap();
        if let Some((sequence, prev)) = place.filter(|_| !matches!(message, ServerMessage::Welcome { .. })) {
            assert_eq!(prev, *last, "{message:?}");
            *last = sequence;
        }
        if let ServerMessage::Signal { signal: Signal::Candidate { candidate, .. }, .. } = message {
            heard.push(candidate);
            return heard.len();
        }
    }
}

/// Signals between two pages, one of which loses its connection without a word while they come.
#[test]
fn what_was_said_to_a_page_that_was_away_comes_once_and_in_order() {
    let (server, _data) = server();
    let tokens = [server.visit(), server.visit()];
    let mut pages = [0, 1].map(|at| Page::open(&server, &tokens[at]));
    for page in &mut pages {
        page.enter_lobby();
    }
    let [_, second] = [0, 1].map(|at| pages[at].game_start());
    let [mut sender, away] = pages;
    let signal = |number: u32| {
        let candidate = format!("candidate {number}");
        let signal = Signal::Candidate { attempt: 0, candidate, sdp_mid: None, sdp_m_line_index: None };
        ClientMessage::Signal { game_id: second.game_id, to: second.seat, signal }
    };
    let mut send = |number: u32| {
        let text = serde_json::to_string(&signal(number)).unwrap();
        // Each twice: it is heard once.
        for _ in 0..2 {
            sender.say_text(&with_counter(&text, number.into()));
        }
        sender.say(&ping(f64::from(number)));
        loop {
            if let ServerMessage::Pong { time, accepted } = sender.hear().unwrap()
                && time == f64::from(number)
            {
                return assert_eq!(accepted, u64::from(number));
            }
        }
    };
    drop(away);
    let mut away = Page::open(&server, &tokens[1]);
    let Ok((Some((mut last, _)), ServerMessage::Welcome { epoch, .. })) = away.hear_placed() else {
        panic!("no welcome")
    };
    let mut heard = Vec::new();
    let mut take = |page: &mut Page, last: &mut u64| heard_of(page, last, &mut heard);
    send(1);
    take(&mut away, &mut last);
    away.vanish();
    for number in 2..=21 {
        send(number);
    }
    let mut back = Page::resume(&server, &tokens[1], &epoch, last);
    let Ok((place, ServerMessage::Welcome { epoch: same, .. })) = back.hear_placed() else {
        panic!("no welcome")
    };
    assert_eq!((&same, place), (&epoch, Some((last, last))));
    for _ in 2..=21 {
        take(&mut back, &mut last);
    }
    send(22);
    take(&mut back, &mut last);
    // More than a socket's queue holds.
    back.vanish();
    for number in 23..=322 {
        // Below 200 messages a second, three for each.
        std::thread::sleep(std::time::Duration::from_millis(15));
        send(number);
    }
    let mut back = Page::resume(&server, &tokens[1], &epoch, last);
    back.say(&ping(0.0));
    for _ in 23..=322 {
        if take(&mut back, &mut last) % 100 == 0 {
            back.say(&ping(0.0));
        }
    }
    assert_eq!(heard, (1..=322).map(|number| format!("candidate {number}")).collect::<Vec<_>>());
}

#[test]
fn who_does_not_read_is_let_go_and_holds_nobody_up() {
    let (server, _data) = server();
    let mut pages = [(); 2].map(|()| Page::open(&server, &server.visit()));
    for page in &mut pages {
        page.enter_lobby();
    }
    let [first, second] = [0, 1].map(|at| pages[at].game_start());
    let [talker, _sleeper] = &mut pages;
    let long = Signal::Description { attempt: 0, sdp_type: "offer".into(), sdp: "x".repeat(60_000) };
    let message = ClientMessage::Signal { game_id: first.game_id, to: second.seat, signal: long };
    // Queues and sockets hold some megabytes; at this pace they are full within seconds.
    let full = |server: &Server| server.get("/metrics").1.contains("interplay_closes_total{code=\"4108\"} 1");
    for sent in 0.. {
        talker.say(&message);
        std::thread::sleep(std::time::Duration::from_millis(6));
        if sent % 50 == 49 && full(&server) {
            break;
        }
        assert!(sent < 3000, "{sent} messages of 60 KB, and the queue is not full");
    }
    talker.say(&ping(9.0));
    while !matches!(talker.hear().unwrap(), ServerMessage::Pong { time: 9.0, .. }) {}
}
