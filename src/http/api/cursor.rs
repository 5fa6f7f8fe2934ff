//! Pages and where they end. A cursor says after what the next page begins; it is proven by the key
//! ring together with the caller, the list and its filter, so that it fits no other.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::problem::Problem;
use crate::keys::KeyRing;

/// Bytes of the proof that a cursor carries.
const PROOF_BYTES: usize = 16;

/// Some items of a list.
#[derive(Serialize)]
pub(super) struct Page<T> {
    /// In the list's order.
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl<T: JsonSchema> JsonSchema for Page<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Page", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "Some items of a list, in its order.",
            "type": "object",
            "required": ["items"],
            "properties": {
                "items": { "type": "array", "items": generator.subschema_for::<T>() },
                "next": {
                    "description": "The `cursor` of the next page; absent where there is none.",
                    "type": "string",
                },
            },
        })
    }
}

/// A list as one caller sees it through one filter.
pub(super) struct List<'a> {
    pub(super) keys: &'a KeyRing,
    /// All that tells it from another list.
    pub(super) name: String,
}

impl List<'_> {
    /// What a cursor says, if it is this list's.
    pub(super) fn read(&self, cursor: &str) -> Result<Vec<u8>, Problem> {
        let foreign = || Problem::field("cursor", "is not one of this list; begin without one");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| foreign())?;
        let (at, proof) = bytes.split_last_chunk::<PROOF_BYTES>().ok_or_else(foreign)?;
        if *proof == self.proof(at) { Ok(at.to_vec()) } else { Err(foreign()) }
    }

    /// The page of at most `limit` items, of which one more was read, where there is one, to see
    /// whether anything follows. `at` says where an item stands.
    pub(super) fn page<T>(
        &self,
        mut items: Vec<T>,
        limit: usize,
        at: impl Fn(&T) -> Vec<u8>,
    ) -> Page<T> {
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next = last.map(|last| {
            let at = at(last);
            URL_SAFE_NO_PAD.encode([&at[..], &self.proof(&at)].concat())
        });
        Page { items, next }
    }

    fn proof(&self, at: &[u8]) -> [u8; PROOF_BYTES] {
        let digest = self.keys.cursor(&self.name, at).0;
        std::array::from_fn(|n| digest[n])
    }
}
