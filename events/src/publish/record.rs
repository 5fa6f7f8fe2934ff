//! A record on its way out: the attributes of CloudEvents 1.0, and the two forms in which it goes.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use super::{Data, Topic, Type, plain, segment};
use crate::{Millis, Recorded, Subject};

/// What the data of every record is.
pub const CONTENT_TYPE: &str = "application/json";

/// The version of CloudEvents.
pub(super) const SPEC_VERSION: &str = "1.0";

/// The first and the last moment that RFC 3339 can write: the years 0000 to 9999.
const TIMES: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// A record that everybody may read.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent {
    /// `<position>.<n>`: the event in the journal, and which of its records this is, from 0.
    pub id: String,
    /// Where it comes from: `/docket/<channel>`, a URI reference. With the id it is this record's
    /// alone within a site.
    pub source: String,
    /// What happened.
    pub kind: Type,
    /// What it is about, as text: `order/<id>`, `listing/<store>/<sku>`, `account/<id>`. Unique
    /// together with the source.
    pub subject: String,
    /// When it was recorded, as RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// The extension `sequence`: the position in 20 digits, a point, and n in 6. As text it sorts
    /// as the records were made.
    pub sequence: String,
    /// What is told.
    pub data: Data,
}

impl CloudEvent {
    pub(super) fn new(
        recorded: &Recorded,
        n: usize,
        kind: Type,
        subject: &Subject,
        data: Data,
    ) -> Self {
        let position = recorded.position;
        Self {
            id: format!("{position}.{n}"),
            source: format!("/docket/{}", segment(&recorded.channel)),
            kind,
            subject: plain(subject.as_str()).into_owned(),
            time: rfc3339(recorded.recorded_at),
            sequence: format!("{:020}.{n:06}", position.0),
            data,
        }
    }

    /// Where it is published.
    pub fn topic(&self) -> Topic {
        self.kind.topic()
    }

    /// What keeps records in order: those with one key are in one partition.
    pub fn key(&self) -> &str {
        &self.subject
    }

    /// The headers of a Kafka record in CloudEvents' binary mode.
    pub fn headers(&self) -> [(&'static str, &str); 8] {
        [
            ("ce_specversion", SPEC_VERSION),
            ("ce_id", &self.id),
            ("ce_source", &self.source),
            ("ce_type", self.kind.name()),
            ("ce_subject", &self.subject),
            ("ce_time", &self.time),
            ("ce_sequence", &self.sequence),
            ("content-type", CONTENT_TYPE),
        ]
    }

    /// The value of a Kafka record in binary mode: the data as JSON.
    pub fn value(&self) -> String {
        json(&self.data)
    }

    /// All of it as one JSON object: CloudEvents' structured mode.
    pub fn to_json(&self) -> String {
        json(&Structured {
            specversion: SPEC_VERSION,
            id: &self.id,
            source: &self.source,
            kind: self.kind.name(),
            subject: &self.subject,
            time: &self.time,
            sequence: &self.sequence,
            datacontenttype: CONTENT_TYPE,
            data: &self.data,
        })
    }
}

#[derive(Serialize)]
struct Structured<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: &'a str,
    sequence: &'a str,
    datacontenttype: &'static str,
    data: &'a Data,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("records have text keys and no failing parts")
}

/// A moment as RFC 3339; one that it cannot write is the nearest that it can.
pub(super) fn rfc3339(at: Millis) -> String {
    let within = at.0.clamp(*TIMES.start(), *TIMES.end());
    let time = DateTime::from_timestamp_millis(within).expect("chrono knows more years than these");
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
