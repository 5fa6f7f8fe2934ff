//! Rows in few bytes: their parts, one behind the other, without names. What a key says is left out.

use events::{OrderId, OrderNumber};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::store::Error;

/// A row as bytes.
pub(crate) fn pack(row: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(row, Vec::with_capacity(256)).expect("rows have no failing parts")
}

/// Reads what [`pack`] wrote, all of it.
pub(crate) fn unpack<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    match postcard::take_from_bytes(value) {
        Ok((row, [])) => Ok(row),
        Ok(_) => Err(Error::row(key, "there is more than a row")),
        Err(error) => Err(Error::row(key, error)),
    }
}

/// An order's number, left out where it is the order's id.
#[derive(Serialize, Deserialize)]
pub(crate) struct Number(Option<OrderNumber>);

impl Number {
    pub fn pack(id: OrderId, number: OrderNumber) -> Self {
        let mut text = [0; 36];
        let is_id = *id.0.as_hyphenated().encode_lower(&mut text) == *number.as_str();
        Self((!is_id).then_some(number))
    }

    pub fn unpack(self, id: OrderId) -> OrderNumber {
        let is_id = || OrderNumber::new(id.to_string()).expect("an id is as long as a name may be");
        self.0.unwrap_or_else(is_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::order_id;

    #[test]
    fn a_number_that_is_the_id_takes_one_byte_and_all_come_back() {
        let id = order_id(0xabcd);
        let texts = [id.to_string(), id.to_string().to_uppercase(), "N7".to_owned()];
        for (text, bytes) in texts.into_iter().zip([1, 38, 4]) {
            let number = OrderNumber::new(text).unwrap();
            let packed = pack(&Number::pack(id, number.clone()));
            assert_eq!(packed.len(), bytes);
            assert_eq!(unpack::<Number>(b"", &packed).unwrap().unpack(id), number);
        }
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_no_row() {
        let whole = pack(&("a".to_owned(), 300_u32));
        let unpack = |bytes: &[u8]| unpack::<(String, u32)>(b"key", bytes);
        assert!(unpack(&whole).is_ok());
        assert!(
            (0..whole.len()).all(|end| matches!(unpack(&whole[..end]), Err(Error::Row { .. })))
        );
        assert!(matches!(unpack(&[&whole[..], b"."].concat()), Err(Error::Row { .. })));
    }
}
