//! Reads what is published, for consumers written in Rust.

use super::{CloudEvent, Type, record::SPEC_VERSION};

/// Why a record cannot be read. Such a record is none of docket's, or of a docket whose shapes are
/// not these.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A header is missing that every record has, or is no text.
    #[error("there is no header {0}")]
    Header(&'static str),
    /// It is of another version of CloudEvents.
    #[error("these are CloudEvents {0}, and {SPEC_VERSION} are read here")]
    Version(String),
    /// The value is not in the shape of its type.
    #[error("the data of {name}: {source}", name = kind.name())]
    Data {
        /// The type.
        kind: Type,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl CloudEvent {
    /// Reads the headers and the value of a Kafka record in CloudEvents' binary mode. `None` where
    /// its type is none of [`Type::ALL`]: newer versions and types may come at any time, and a
    /// reader passes over them, as it does over headers and fields that it does not know.
    ///
    /// # Errors
    /// When a header is missing, or the value is not in the shape of its type.
    pub fn read<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        value: &[u8],
    ) -> Result<Option<Self>, ReadError> {
        let headers: Vec<_> = headers.into_iter().collect();
        let header = |wanted: &'static str| {
            let found = headers.iter().find(|(name, _)| *name == wanted);
            let text = found.and_then(|(_, value)| str::from_utf8(value).ok());
            text.ok_or(ReadError::Header(wanted))
        };
        let version = header("ce_specversion")?;
        if version != SPEC_VERSION {
            return Err(ReadError::Version(version.to_owned()));
        }
        let Some(kind) = Type::of_name(header("ce_type")?) else { return Ok(None) };
        Ok(Some(Self {
            id: header("ce_id")?.to_owned(),
            source: header("ce_source")?.to_owned(),
            kind,
            subject: header("ce_subject")?.to_owned(),
            time: header("ce_time")?.to_owned(),
            sequence: header("ce_sequence")?.to_owned(),
            data: kind.read(value).map_err(|source| ReadError::Data { kind, source })?,
        }))
    }
}
