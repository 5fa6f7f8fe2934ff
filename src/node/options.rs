//! From settings, which are texts, to what each part wants.

use std::time::Duration;

use events::Channel;

use crate::{
    config::Config,
    engine::{self, Clock},
    http::{self, dialects::bookstore},
    journal::Tail,
};

pub(super) fn engine_options(config: &Config, clock: Option<Clock>, tail: Tail) -> engine::Options {
    let default = engine::Options::default();
    engine::Options {
        queue_max: usize::try_from(config.count("queue_max")).unwrap_or(usize::MAX),
        answer_within: config.duration("answer_within"),
        tick: config.duration("tick").max(Duration::from_millis(1)),
        clock_jump_max: config.duration("clock_jump_max"),
        heard: None,
        clock: clock.unwrap_or(default.clock),
        turn_max: default.turn_max,
        tail,
        alone: default.alone,
    }
}

pub(super) fn password_options(config: &Config) -> http::passwords::Options {
    let count = |name| u32::try_from(config.count(name)).unwrap_or(u32::MAX);
    http::passwords::Options {
        memory_kib: count("password_memory_kib"),
        iterations: count("password_iterations"),
        at_once: count("passwords_at_once") as usize,
        waiting_max: count("passwords_waiting_max") as usize,
        ..http::passwords::Options::default()
    }
}

pub(super) fn http_settings(config: &Config) -> http::Settings {
    let default = bookstore::Settings::default();
    let bookstore = |name| config.of_channel(&default.channel, name).text;
    let number = |name| bookstore(name).parse().expect("numbers are checked when they are set");
    let lives = crate::config::duration(&bookstore("session_lives"));
    let overrides = |channel: Channel| {
        let values = config.overrides(&channel).into_iter();
        (channel, values.map(|(name, value)| (name, value.text)).collect())
    };
    let native = config.of_channel("native", "session_lives").text;
    let native_lives = crate::config::duration(&native);
    http::Settings {
        api: http::api::Settings {
            session_lives_ms: i64::try_from(native_lives.as_millis()).unwrap_or(i64::MAX),
            overrides: config.channels().into_iter().map(overrides).collect(),
        },
        read_within: config.duration("read_within"),
        answer_within: config.duration("answer_within"),
        receive_within: config.duration("receive_within"),
        client_address_header: config.text("client_address_header").to_owned(),
        body_bytes_max: usize::try_from(config.count("body_bytes_max")).unwrap_or(usize::MAX),
        bookstore: bookstore::Settings {
            enforce_token: bookstore("enforce_token") == "true",
            page_size: number("page_size"),
            session_lives_ms: i64::try_from(lives.as_millis()).unwrap_or(i64::MAX),
            book_bytes_max: number("book_bytes_max"),
            channel: default.channel.clone(),
        },
    }
}

/// How a site wants docket to listen.
pub fn server_options(config: &Config) -> http::server::Options {
    http::server::Options {
        connections_max: usize::try_from(config.count("connections_max")).unwrap_or(usize::MAX),
        head_within: config.duration("head_within"),
        drain_within: config.duration("drain_within"),
    }
}
