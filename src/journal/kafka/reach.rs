//! Whether brokers let this client in, and what they say where they do not. Whoever asks a broker
//! something is told that no answer came; that the password is wrong is told to nobody in particular.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    metadata::Metadata,
    types::RDKafkaErrorCode as Code,
};

use super::{Options, topics::kafka};
use crate::journal::JournalError;

/// How long the first question takes before it is looked what was heard meanwhile; each that follows
/// takes twice as long.
const ASK: Duration = Duration::from_millis(500);

/// How long to wait for news before asking again.
const MOMENT: Duration = Duration::from_millis(50);

/// What brokers said.
#[derive(Default)]
struct Heard(Mutex<Said>);

#[derive(Default)]
struct Said {
    /// The reason why one refused this client, or else why one could not be reached.
    reason: Option<String>,
    refused: bool,
    /// Whether it was heard that none is left.
    none: bool,
}

impl Heard {
    /// Why nobody lets this client in, once that is certain or `late`.
    fn reason(&self, late: bool) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = said.reason.as_ref()?;
        match said.refused {
            true if said.none || late => Some(format!("the brokers refuse this client: {reason}")),
            false if late => Some(format!("no broker answers: {reason}")),
            _ => None,
        }
    }
}

impl ClientContext for Heard {
    fn error(&self, error: KafkaError, reason: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match error.rdkafka_error_code() {
            Some(Code::AllBrokersDown) => said.none = true,
            Some(Code::Authentication | Code::SSL) => {
                (said.refused, said.reason) = (true, Some(reason.to_owned()));
            }
            _ if said.refused => {}
            _ => said.reason = Some(reason.to_owned()),
        }
    }

    /// That a broker hangs up, as it does where it wants TLS and this client does not, is told here
    /// alone.
    fn log(&self, _: RDKafkaLogLevel, of: &str, message: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if of == "FAIL" && !said.refused {
            let message = message.split_once("]: ").map_or(message, |(_thread, it)| it);
            said.reason = Some(message.to_owned());
        }
    }
}

impl ConsumerContext for Heard {}

/// Waits until a broker answers, and gives what it knows of all topics. Blocks.
///
/// # Errors
/// When none does within that time, or all refuse: with what they say.
pub fn reach(options: &Options, within: Duration) -> Result<Metadata, JournalError> {
    let doing = format!("cannot reach the brokers at {}", options.brokers);
    let mut config = options.client();
    let asking = config.set_log_level(RDKafkaLogLevel::Info).create_with_context(Heard::default());
    let asking: BaseConsumer<Heard> = asking.map_err(kafka("cannot make a client of Kafka"))?;
    let (until, mut ask) = (Instant::now() + within, ASK);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let error = match asking.fetch_metadata(None, left.min(ask)) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        ask = within.min(2 * ask);
        // Some questions come back at once: the next is asked after a moment.
        let moment = MOMENT.min(until.saturating_duration_since(Instant::now()));
        let mut heard = asking.poll(moment);
        while heard.is_some() {
            heard = asking.poll(Duration::ZERO);
        }
        let late = Instant::now() >= until;
        if let Some(reason) = asking.context().reason(late) {
            return Err(JournalError::Kafka { doing, reason });
        }
        if late {
            return Err(kafka(doing)(error));
        }
    }
}
