use serde_json::{Value, json};

use super::json as text;

fn document() -> Value {
    serde_json::from_str(text()).unwrap()
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(document: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                fields.values().for_each(|value| check(document, value));
            }
            Value::Array(values) => values.iter().for_each(|value| check(document, value)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn operations_have_names_of_their_own_and_known_tags() {
    let document = document();
    let tags: Vec<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    let mut ids = std::collections::HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                ids.insert(operation["operationId"].to_string()),
                "{method} {path}"
            );
            assert!(tags.contains(&&operation["tags"][0]), "{method} {path}");
        }
    }
}

#[test]
fn the_counters_are_those_of_the_table() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let lost = &schemas["InputStats"]["properties"]["packets_lost"];
    assert_eq!(lost["description"], "Packets lost");
    let health = &schemas["FlowStats"]["properties"]["health"]["enum"];
    assert_eq!(
        health.to_string(),
        r#"["Healthy","Warning","Error","Critical"]"#
    );
    let state = &schemas["OutputStats"]["properties"]["state"]["enum"];
    assert!(
        state.as_array().unwrap().contains(&"active".into()),
        "{state}"
    );
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    for text in [super::PAGE, super::CSS, super::SCRIPT] {
        assert!(!text.contains("http://") && !text.contains("https://"));
        assert!(!text.contains("url("));
    }
}

/// A flow that is legal, with an input or an output of each kind.
fn bases() -> Vec<(&'static str, Value, &'static str)> {
    let srt = json!({"type": "srt", "mode": "listener", "local_addr": "127.0.0.1:9000",
        "passphrase": "0123456789", "km_refresh_rate": 2_147_483_647});
    let mut bases = Vec::new();
    for (component, input) in [
        (
            "RtpInput",
            json!({"type": "rtp", "bind_addr": "127.0.0.1:6000"}),
        ),
        (
            "RtmpInput",
            json!({"type": "rtmp", "listen_addr": "127.0.0.1:1935"}),
        ),
        (
            "RtspInput",
            json!({"type": "rtsp", "rtsp_url": "rtsp://192.0.2.1/"}),
        ),
        ("SrtInput", srt.clone()),
        ("TestInput", json!({"type": "test"})),
        (
            "UdpInput",
            json!({"type": "udp", "bind_addr": "127.0.0.1:6000"}),
        ),
        ("WebrtcInput", json!({"type": "webrtc"})),
        (
            "WhepInput",
            json!({"type": "whep", "whep_url": "http://192.0.2.1/"}),
        ),
    ] {
        let flow = json!({"id": "f", "name": "N", "input": input, "outputs": []});
        bases.push((component, flow, "/input"));
    }
    for (component, mut output) in [
        (
            "HlsOutput",
            json!({"type": "hls", "ingest_url": "http://192.0.2.1/"}),
        ),
        (
            "RtmpOutput",
            json!({"type": "rtmp", "dest_url": "rtmp://192.0.2.1/", "stream_key": "k"}),
        ),
        (
            "RtpOutput",
            json!({"type": "rtp", "dest_addr": "127.0.0.1:6000"}),
        ),
        ("SrtOutput", srt),
        (
            "UdpOutput",
            json!({"type": "udp", "dest_addr": "127.0.0.1:6000"}),
        ),
        (
            "WebrtcOutput",
            json!({"type": "webrtc", "whip_url": "http://192.0.2.1/"}),
        ),
    ] {
        output["id"] = "o".into();
        output["name"] = "N".into();
        let input = json!({"type": "test"});
        let flow = json!({"id": "f", "name": "N", "input": input, "outputs": [output]});
        bases.push((component, flow, "/outputs/0"));
    }
    bases
}

/// Values that the schema of a field allows, and values that it does not.
fn probes(schema: &Value) -> (Vec<Value>, Vec<Value>) {
    let mut legal = Vec::new();
    let mut wrong = vec![Value::from(serde_json::Map::new())];
    if let Some(values) = schema["enum"].as_array() {
        legal.extend(values.iter().cloned());
        wrong.push("no such word".into());
        return (legal, wrong);
    }
    let types = schema["type"].to_string();
    if types.contains("boolean") {
        legal.extend([true.into(), false.into()]);
        wrong.push("true".into());
    } else if types.contains("integer") {
        for (bound, beyond) in [("minimum", -1), ("maximum", 1)] {
            if let Some(value) = schema[bound].as_i64() {
                legal.push(value.into());
                wrong.push((value + beyond).into());
            }
        }
        wrong.push(1.5.into());
    } else if types.contains("number") {
        for (bound, beyond) in [("minimum", -0.000_001), ("maximum", 0.1)] {
            if let Some(value) = schema[bound].as_f64() {
                legal.push(value.into());
                wrong.push((value + beyond).into());
            }
        }
    } else if types.contains("string") && schema["pattern"].is_null() && schema["format"].is_null()
    {
        let xs = |chars: u64| Value::from("x".repeat(usize::try_from(chars).unwrap()));
        let least = schema["minLength"].as_u64().unwrap_or(0);
        let most = schema["maxLength"].as_u64().unwrap();
        legal.extend([xs(least), xs(most)]);
        wrong.push(xs(most + 1));
        if least > 0 {
            wrong.push(xs(least - 1));
        }
    } else if schema.get("pattern").is_none() {
        wrong.push("x".into());
    }
    (legal, wrong)
}

#[test]
fn the_document_and_the_parser_draw_the_same_lines() {
    let document = document();
    for (component, flow, place) in bases() {
        crate::config::parse_flow(flow.clone(), None).unwrap();
        let schema = &document["components"]["schemas"][component];
        for (field, schema) in schema["properties"].as_object().unwrap() {
            if ["type", "mode"].contains(&field.as_str()) || schema.get("oneOf").is_some() {
                continue;
            }
            let with = |value: &Value| {
                let mut flow = flow.clone();
                flow.pointer_mut(place).unwrap()[field] = value.clone();
                crate::config::parse_flow(flow, None)
            };
            let (legal, wrong) = probes(schema);
            for value in legal {
                let parsed = with(&value);
                assert!(parsed.is_ok(), "{component}.{field} {value}: {parsed:?}");
            }
            for value in wrong {
                assert!(with(&value).is_err(), "{component}.{field} {value}");
            }
            if with(&Value::Null).is_err() {
                let required = &document["components"]["schemas"][component]["required"];
                let is_required = required
                    .as_array()
                    .unwrap()
                    .contains(&field.as_str().into());
                // Needed in one mode of several.
                assert!(is_required || field == "whip_url", "{component}.{field}");
            }
        }
        let parsed = crate::config::parse_flow(flow, None).unwrap();
        assert!(parsed.unknown.paths().is_empty());
    }
}
