//! As much of JSON Schema as the schemas of the command use, and strictly: a word that is not
//! known here is a mistake, and so is a field that a schema doesn't name.

use serde_json::Value;

/// What is wrong with a document, each with the place.
pub(crate) fn faults(schema: &Value, document: &Value) -> Vec<String> {
    let mut checking = Checking {
        root: schema,
        faults: Vec::new(),
    };
    checking.check(schema, document, "$");
    checking.faults
}

struct Checking<'a> {
    root: &'a Value,
    faults: Vec<String>,
}

impl Checking<'_> {
    fn check(&mut self, schema: &Value, value: &Value, place: &str) {
        let words = schema.as_object().expect("a schema");
        for (word, said) in words {
            match word.as_str() {
                "$schema" | "$defs" | "title" | "description" => {}
                "$ref" => {
                    let path = said.as_str().and_then(|path| path.strip_prefix('#'));
                    let target = path.and_then(|path| self.root.pointer(path));
                    let target = target.unwrap_or_else(|| panic!("{said} leads nowhere"));
                    self.check(&target.clone(), value, place);
                }
                "type" => self.expect(has_type(said, value), place, said, value),
                "enum" => {
                    let among = said.as_array().expect("a list").contains(value);
                    self.expect(among, place, said, value);
                }
                "minimum" => {
                    let enough = value
                        .as_f64()
                        .is_none_or(|it| it >= said.as_f64().expect("a number"));
                    self.expect(enough, place, said, value);
                }
                "anyOf" => {
                    let fits = |one: &Value| {
                        let mut other = Checking {
                            root: self.root,
                            faults: Vec::new(),
                        };
                        other.check(one, value, place);
                        other.faults
                    };
                    let all = said.as_array().expect("a list");
                    let found: Vec<_> = all.iter().map(fits).collect();
                    if found.iter().all(|faults| !faults.is_empty()) {
                        self.faults.extend(found.into_iter().flatten());
                    }
                }
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(said, item, &format!("{place}[{number}]"));
                    }
                }
                "properties" => self.properties(said, value, place),
                "required" => {
                    for name in said.as_array().expect("a list") {
                        let name = name.as_str().expect("a name");
                        let there = value
                            .as_object()
                            .is_none_or(|object| object.contains_key(name));
                        self.expect(there, &format!("{place}.{name}"), said, &Value::Null);
                    }
                }
                unknown => panic!("{unknown} is no word of these schemas"),
            }
        }
    }

    fn properties(&mut self, schemas: &Value, value: &Value, place: &str) {
        for (name, field) in value.as_object().into_iter().flatten() {
            let place = format!("{place}.{name}");
            match schemas.get(name) {
                Some(schema) => self.check(schema, field, &place),
                None => self.faults.push(format!("{place} is in no schema")),
            }
        }
    }

    fn expect(&mut self, holds: bool, place: &str, wanted: &Value, value: &Value) {
        if !holds {
            self.faults
                .push(format!("{place}: {value} is not {wanted}"));
        }
    }
}

fn has_type(names: &Value, value: &Value) -> bool {
    let one = |name: &Value| match name.as_str().expect("a name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        unknown => panic!("{unknown} is no type"),
    };
    match names {
        Value::Array(names) => names.iter().any(one),
        name => one(name),
    }
}

#[test]
fn documents_that_differ_from_their_schema_are_found() {
    let schema = serde_json::json!({
        "type": "object",
        "properties": {
            "kind": {"enum": ["a", "b"]},
            "count": {"type": ["integer", "null"], "minimum": 0},
            "all": {"type": "array", "items": {"$ref": "#/$defs/One"}},
            "maybe": {"anyOf": [{"$ref": "#/$defs/One"}, {"type": "null"}]},
        },
        "required": ["kind"],
        "$defs": {"One": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
    });
    let good = serde_json::json!({"kind": "a", "count": null, "all": [{"x": 1.5}], "maybe": null});
    assert_eq!(faults(&schema, &good), [""; 0]);
    for bad in [
        serde_json::json!({}),
        serde_json::json!({"kind": "c"}),
        serde_json::json!({"kind": "a", "more": 1}),
        serde_json::json!({"kind": "a", "count": -1}),
        serde_json::json!({"kind": "a", "count": 1.5}),
        serde_json::json!({"kind": "a", "all": [{}]}),
        serde_json::json!({"kind": "a", "maybe": {"x": "1"}}),
        serde_json::json!([]),
    ] {
        assert!(!faults(&schema, &bad).is_empty(), "{bad}");
    }
}
