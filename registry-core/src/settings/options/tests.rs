use super::*;
use crate::settings::bind_settings::BindSettings;

#[test]
fn defaults_are_those_that_the_documentation_promises() {
    let json = serde_json::to_value(EngineOptions::default()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "max_connections": 10,
            "min_idle": 0,
            "acquire_timeout": "30s",
            "connect_timeout": "10s",
            "check_idle_after": "500ms",
            "check_timeout": "1s",
            "idle_timeout": "10m",
            "max_lifetime": "30m",
            "reset_on_return": "auto",
            "on_connect": [],
            "statement_timeout": null,
            "statement_cache": true,
            "pooler": "none",
            "queue_limit": null,
            "read_only": false,
            "tenant_setting": null,
            "log_slow_queries": null,
            "echo": false,
            "log_values": false,
            "sslrootcert": null,
            "sslrootcert_pem": null,
            "sslcert": null,
            "sslcert_pem": null,
            "sslkey": null,
            "sslkey_pem": null,
            "busy_timeout": "5s",
            "synchronous": "full",
            "max_lag": "10s",
            "max_lag_bytes": null,
            "when_behind": "primary",
            "wait_for_replica": "1s",
            "probe_interval": "1s",
            "max_reads_on_primary": "50%",
            "when_pending": "fail",
            "when_unknown": "warn",
        })
    );
    let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut known = PartialOptions::NAMES.to_vec();
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn statements_are_counted_and_not_shown() {
    let options = EngineOptions {
        on_connect: vec!["PRAGMA key = 'zauber'".to_owned(), "SELECT 1".to_owned()],
        ..Default::default()
    };
    let json = serde_json::to_value(&options).unwrap();
    assert_eq!(json["on_connect"], serde_json::json!(["***", "***"]));
    let shown = format!("{options:?}");
    assert!(shown.contains("on_connect: 2 statements, statement_timeout: None"), "{shown}");
    let bind = BindSettings::new("sqlite:a.db").on_connect(["PRAGMA key = 'zauber'"]);
    let shown = format!("{bind:?}");
    assert!(shown.contains("PartialOptions { on_connect: 1 statement }"), "{shown}");
}

#[test]
fn options_that_are_there_win_and_the_others_stay() {
    let mut under =
        PartialOptions { max_connections: Some(4), min_idle: Some(2), ..Default::default() };
    under.overlay(PartialOptions {
        min_idle: Some(1),
        idle_timeout: Some(None),
        ..Default::default()
    });
    let mut options = EngineOptions { check_timeout: Duration::from_secs(9), ..Default::default() };
    under.apply(&mut options);
    assert_eq!(
        options,
        EngineOptions {
            max_connections: 4,
            min_idle: 1,
            idle_timeout: None,
            check_timeout: Duration::from_secs(9),
            ..Default::default()
        }
    );
}

#[test]
fn every_option_can_be_read() {
    for name in PartialOptions::NAMES {
        let candidates = [
            "10",
            "30s",
            "true",
            "full",
            "transaction",
            "-----BEGIN CERTIFICATE-----",
            "wait",
            "50%",
            "migrate",
            "warn",
        ];
        let mut partial = PartialOptions::default();
        let read = candidates
            .iter()
            .any(|text| partial.read(name, &Value::Text((*text).to_owned())).is_ok());
        assert!(read, "{name}");
        assert_eq!(partial.names().collect::<Vec<_>>(), [*name]);
    }
}

#[test]
fn an_unknown_reset_names_the_words_and_the_nearest() {
    assert_eq!(
        ResetOnReturn::from_value(&Value::Text("rolback".to_owned())),
        Err("expected \"auto\", \"rollback\" or \"full\", found another text; \
             did you mean `rollback`?"
            .to_owned())
    );
}
