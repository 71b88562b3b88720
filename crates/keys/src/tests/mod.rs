//! Published vectors, captures of real stations, and properties.

mod captures;
mod properties;
mod vectors;

use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn octets(v: &Value, field: &str) -> Vec<u8> {
    hex::decode(v[field].as_str().unwrap_or_else(|| panic!("no {field} in {v}"))).unwrap()
}

fn list<'a>(v: &'a Value, field: &str) -> &'a [Value] {
    v[field].as_array().unwrap_or_else(|| panic!("no {field}"))
}
