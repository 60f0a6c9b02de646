//! The allowlist of functions that are known to leave the session unchanged.
//!
//! The list also contains types that are written like calls: `varchar(10)`. It does not contain functions that run SQL from
//! an argument (`query_to_xml`, `ts_stat`), because that SQL can do anything.

use crate::sql::dialect::Dialect;

/// Whether the function of this name is known to leave the session unchanged. The name was written without quotes, so the
/// comparison ignores case.
pub(super) fn is_harmless(dialect: Dialect, name: &[u8]) -> bool {
    is_listed(dialect, name) || has_harmless_prefix(dialect, name)
}

fn is_listed(dialect: Dialect, name: &[u8]) -> bool {
    let functions = match dialect {
        Dialect::Postgres => POSTGRES,
        Dialect::Mysql => MYSQL,
        Dialect::Sqlite => SQLITE,
    };
    functions
        .binary_search_by(|known| known.bytes().cmp(name.iter().map(u8::to_ascii_lowercase)))
        .is_ok()
}

/// Whether the function of this name, written without quotes, is known to have no effect at all. A family of functions does
/// not count, because the program may have added a function of its own to it.
pub(super) fn only_reads(dialect: Dialect, name: &[u8]) -> bool {
    is_listed(dialect, name) && !is_among(&ACT_OUTSIDE_SESSION, name)
}

/// The functions of the lists below that leave the session unchanged, but act on something else: sequences, other
/// sessions, locks, transaction numbers. `benchmark` evaluates any expression.
const ACT_OUTSIDE_SESSION: [&str; 14] = [
    "benchmark",
    "nextval",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_cancel_backend",
    "pg_current_xact_id",
    "pg_export_snapshot",
    "pg_notify",
    "pg_terminate_backend",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "setval",
    "txid_current",
    "uuid_short",
];

/// Whether the function belongs to a family whose functions all leave the session unchanged: functions on geometries, of
/// which PostGIS has hundreds, and functions that read statistics.
fn has_harmless_prefix(dialect: Dialect, name: &[u8]) -> bool {
    let families: &[&str] = match dialect {
        Dialect::Postgres => &["st_", "pg_stat_get_"],
        Dialect::Mysql => &["st_", "mbr"],
        Dialect::Sqlite => &[],
    };
    families.iter().any(|family| {
        name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family.as_bytes()))
    })
}

/// Whether the function of this name is known to change its session, in PostgreSQL. The name may be in quotes.
pub(super) fn needs_session(name: &[u8]) -> bool {
    is_among(&NEED_SESSION, name)
}

/// Whether the function of this name is known to change its session in a way that `DISCARD ALL` does not undo, in
/// PostgreSQL. The name may be in quotes.
pub(super) fn outlives_reset(name: &[u8]) -> bool {
    is_among(&OUTLIVE_RESET, name)
}

fn is_among(known: &[&str], name: &[u8]) -> bool {
    let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
    known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

const NEED_SESSION: [&str; 11] = [
    "set_config",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_all",
    "pg_advisory_unlock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "dblink_connect",
    "dblink_connect_u",
    "pg_replication_origin_session_setup",
];

const OUTLIVE_RESET: [&str; 4] =
    ["dblink_connect", "dblink_connect_u", "pg_replication_origin_session_setup", "setseed"];

/// The functions of PostgreSQL and of the extensions that come with it.
///
/// The list does not contain `set_config`, the advisory locks of sessions, and `setseed`, which would determine the next
/// borrower's random numbers.
#[rustfmt::skip]
const POSTGRES: &[&str] = &[
    "abbrev", "abs", "acldefault", "aclexplode", "acos", "acosd", "acosh", "age", "akeys",
    "any_value", "area", "armor", "array_agg", "array_append", "array_cat", "array_dims",
    "array_fill", "array_length", "array_lower", "array_ndims", "array_position",
    "array_positions", "array_prepend", "array_remove", "array_replace", "array_reverse",
    "array_sample", "array_shuffle", "array_sort", "array_to_json", "array_to_string",
    "array_to_tsvector", "array_upper", "ascii", "asin", "asind", "asinh", "atan", "atan2",
    "atan2d", "atand", "atanh", "avals", "avg", "bernoulli", "bit", "bit_and", "bit_count",
    "bit_length", "bit_or", "bit_xor", "bool", "bool_and", "bool_or", "bound_box", "box",
    "bpchar", "broadcast", "btrim", "cardinality", "casefold", "cast", "cbrt", "ceil",
    "ceiling", "center", "char", "char_length", "character", "character_length", "chr",
    "circle", "clock_timestamp", "coalesce", "col_description", "concat", "concat_ws",
    "convert", "convert_from", "convert_to", "corr", "cos", "cosd", "cosh", "cosine_distance",
    "cot", "cotd", "count", "covar_pop", "covar_samp", "crc32", "crc32c", "crypt", "cube",
    "cube_dim", "cube_distance", "cube_enlarge", "cube_ll_coord", "cube_ur_coord", "cume_dist",
    "current_catalog", "current_database", "current_date", "current_query", "current_role",
    "current_schema", "current_schemas", "current_setting", "current_time", "current_timestamp",
    "current_user", "currval", "date", "date_add", "date_bin", "date_part", "date_subtract",
    "date_trunc", "datemultirange", "daterange", "dearmor", "dec", "decimal", "decode",
    "degrees", "dense_rank", "diagonal", "diameter", "difference", "digest", "div",
    "dmetaphone", "earth", "earth_box", "earth_distance", "encode", "enum_first", "enum_last",
    "enum_range", "erf", "erfc", "every", "exp", "extract", "factorial", "family",
    "first_value", "float", "float4", "float8", "floor", "format", "format_type", "gc_to_sec",
    "gcd", "gen_random_bytes", "gen_random_uuid", "gen_salt", "generate_series",
    "generate_subscripts", "geography", "geometry", "get_bit", "get_byte",
    "get_current_ts_config", "greatest", "grouping", "halfvec", "has_any_column_privilege",
    "has_column_privilege", "has_database_privilege", "has_foreign_data_wrapper_privilege",
    "has_function_privilege", "has_language_privilege", "has_parameter_privilege",
    "has_schema_privilege", "has_sequence_privilege", "has_server_privilege",
    "has_table_privilege", "has_tablespace_privilege", "has_type_privilege", "hashtext",
    "hashtextextended", "height", "hmac", "host", "hostmask", "hstore", "hstore_to_array",
    "hstore_to_json", "hstore_to_jsonb", "icount", "inet_client_addr", "inet_client_port",
    "inet_merge", "inet_same_family", "inet_server_addr", "inet_server_port", "initcap",
    "inner_product", "int2", "int4", "int4multirange", "int4range", "int8", "int8multirange",
    "int8range", "interval", "isclosed", "isempty", "isfinite", "isopen", "json", "json_agg",
    "json_agg_strict", "json_array", "json_array_elements", "json_array_elements_text",
    "json_array_length", "json_arrayagg", "json_build_array", "json_build_object", "json_each",
    "json_each_text", "json_exists", "json_extract_path", "json_extract_path_text",
    "json_object", "json_object_agg", "json_object_agg_unique", "json_object_keys",
    "json_objectagg", "json_populate_record", "json_populate_recordset", "json_query",
    "json_scalar", "json_serialize", "json_strip_nulls", "json_table", "json_to_record",
    "json_to_recordset", "json_typeof", "json_value", "jsonb", "jsonb_agg", "jsonb_agg_strict",
    "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length",
    "jsonb_build_array", "jsonb_build_object", "jsonb_each", "jsonb_each_text",
    "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_insert", "jsonb_object",
    "jsonb_object_agg", "jsonb_object_agg_unique", "jsonb_object_keys", "jsonb_path_exists",
    "jsonb_path_exists_tz", "jsonb_path_match", "jsonb_path_match_tz", "jsonb_path_query",
    "jsonb_path_query_array", "jsonb_path_query_array_tz", "jsonb_path_query_first",
    "jsonb_path_query_first_tz", "jsonb_path_query_tz", "jsonb_populate_record",
    "jsonb_populate_recordset", "jsonb_pretty", "jsonb_set", "jsonb_set_lax",
    "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset", "jsonb_typeof",
    "justify_days", "justify_hours", "justify_interval", "l2_distance", "l2_normalize", "lag",
    "last_value", "lastval", "lca", "lcm", "lead", "least", "left", "length", "levenshtein",
    "like", "line", "ll_to_earth", "ln", "localtime", "localtimestamp", "log", "log10", "lower",
    "lower_inc", "lower_inf", "lpad", "lseg", "ltree2text", "ltrim", "make_date",
    "make_interval", "make_time", "make_timestamp", "make_timestamptz", "makeaclitem",
    "masklen", "max", "md5", "merge_action", "metaphone", "min", "min_scale", "mod", "mode",
    "multirange", "mxid_age", "name", "nchar", "netmask", "network", "nextval", "nlevel",
    "normalize", "notlike", "now", "npoints", "nth_value", "ntile", "nullif", "num_nonnulls",
    "num_nulls", "numeric", "nummultirange", "numnode", "numrange", "obj_description",
    "octet_length", "overlay", "parse_ident", "path", "pclose", "percent_rank",
    "percentile_cont", "percentile_disc", "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared", "pg_backend_pid", "pg_basetype", "pg_blocking_pids",
    "pg_cancel_backend", "pg_char_to_encoding", "pg_collation_is_visible",
    "pg_column_compression", "pg_column_size", "pg_conf_load_time", "pg_conversion_is_visible",
    "pg_current_logfile", "pg_current_snapshot", "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn", "pg_current_wal_lsn", "pg_current_xact_id",
    "pg_current_xact_id_if_assigned", "pg_database_size", "pg_describe_object",
    "pg_encoding_to_char", "pg_export_snapshot", "pg_filenode_relation",
    "pg_function_is_visible", "pg_get_catalog_foreign_keys", "pg_get_constraintdef",
    "pg_get_expr", "pg_get_function_arguments", "pg_get_function_identity_arguments",
    "pg_get_function_result", "pg_get_functiondef", "pg_get_indexdef", "pg_get_keywords",
    "pg_get_object_address", "pg_get_partkeydef", "pg_get_ruledef", "pg_get_serial_sequence",
    "pg_get_statisticsobjdef", "pg_get_triggerdef", "pg_get_userbyid", "pg_get_viewdef",
    "pg_has_role", "pg_identify_object", "pg_identify_object_as_address",
    "pg_index_column_has_property", "pg_index_has_property", "pg_indexam_has_property",
    "pg_indexes_size", "pg_input_error_info", "pg_input_is_valid", "pg_is_in_recovery",
    "pg_is_other_temp_schema", "pg_jit_available", "pg_last_committed_xact",
    "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn", "pg_last_xact_replay_timestamp",
    "pg_listening_channels", "pg_lock_status", "pg_my_temp_schema",
    "pg_notification_queue_usage", "pg_notify", "pg_opclass_is_visible",
    "pg_operator_is_visible", "pg_opfamily_is_visible", "pg_options_to_table",
    "pg_partition_ancestors", "pg_partition_root", "pg_partition_tree",
    "pg_postmaster_start_time", "pg_relation_filenode", "pg_relation_filepath",
    "pg_relation_size", "pg_safe_snapshot_blocking_pids", "pg_settings_get_flags",
    "pg_size_bytes", "pg_size_pretty", "pg_sleep", "pg_sleep_for", "pg_sleep_until",
    "pg_snapshot_xip", "pg_snapshot_xmax", "pg_snapshot_xmin", "pg_stat_get_activity",
    "pg_statistics_obj_is_visible", "pg_table_is_visible", "pg_table_size",
    "pg_tablespace_databases", "pg_tablespace_location", "pg_tablespace_size",
    "pg_terminate_backend", "pg_total_relation_size", "pg_trigger_depth",
    "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared", "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible", "pg_ts_parser_is_visible", "pg_ts_template_is_visible",
    "pg_type_is_visible", "pg_typeof", "pg_visible_in_snapshot", "pg_wal_lsn_diff",
    "pg_walfile_name", "pg_xact_commit_timestamp", "pg_xact_status", "pgp_key_id",
    "pgp_pub_decrypt", "pgp_pub_encrypt", "pgp_sym_decrypt", "pgp_sym_decrypt_bytea",
    "pgp_sym_encrypt", "pgp_sym_encrypt_bytea", "phraseto_tsquery", "pi", "plainto_tsquery",
    "point", "polygon", "popen", "position", "pow", "power", "querytree", "quote_ident",
    "quote_literal", "quote_nullable", "radians", "radius", "random", "random_normal",
    "range_agg", "range_intersect_agg", "range_merge", "rank", "regclass", "regexp_count",
    "regexp_instr", "regexp_like", "regexp_match", "regexp_matches", "regexp_replace",
    "regexp_split_to_array", "regexp_split_to_table", "regexp_substr", "regr_avgx", "regr_avgy",
    "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy",
    "regtype", "repeat", "replace", "reverse", "right", "rollup", "round", "row_number",
    "row_security_active", "row_to_json", "rpad", "rtrim", "scale", "session_user", "set_bit",
    "set_byte", "set_masklen", "setval", "setweight", "sha224", "sha256", "sha384", "sha512",
    "shobj_description", "show_trgm", "sign", "similarity", "sin", "sind", "sinh", "skeys",
    "slope", "soundex", "split_part", "sqrt", "starts_with", "statement_timestamp", "stddev",
    "stddev_pop", "stddev_samp", "strict_word_similarity", "string_agg", "string_to_array",
    "string_to_table", "strip", "strpos", "subltree", "subpath", "substr", "substring", "sum",
    "suppress_redundant_updates_trigger", "svals", "system", "system_user", "tan", "tand",
    "tanh", "text", "text2ltree", "textcat", "time", "timeofday", "timestamp", "timestamptz",
    "timetz", "timezone", "to_ascii", "to_bin", "to_char", "to_date", "to_hex", "to_json",
    "to_jsonb", "to_number", "to_oct", "to_regclass", "to_regcollation", "to_regnamespace",
    "to_regoper", "to_regoperator", "to_regproc", "to_regprocedure", "to_regrole", "to_regtype",
    "to_regtypemod", "to_timestamp", "to_tsquery", "to_tsvector", "transaction_timestamp",
    "translate", "treat", "trim", "trim_array", "trim_scale", "trunc", "ts_delete", "ts_filter",
    "ts_headline", "ts_rank", "ts_rank_cd", "tsmultirange", "tsquery_phrase", "tsrange",
    "tstzmultirange", "tstzrange", "tsvector_to_array", "txid_current",
    "txid_current_if_assigned", "txid_current_snapshot", "txid_snapshot_xip",
    "txid_snapshot_xmax", "txid_snapshot_xmin", "txid_status", "txid_visible_in_snapshot",
    "unaccent", "unicode_version", "unistr", "unnest", "upper", "upper_inc", "upper_inf",
    "user", "uuid", "uuid_extract_timestamp", "uuid_extract_version", "uuid_generate_v1",
    "uuid_generate_v1mc", "uuid_generate_v3", "uuid_generate_v4", "uuid_generate_v5",
    "uuid_nil", "uuid_ns_dns", "uuid_ns_oid", "uuid_ns_url", "uuid_ns_x500", "uuidv4", "uuidv7",
    "var_pop", "var_samp", "varbit", "varchar", "variance", "varying", "vector", "vector_dims",
    "version", "websearch_to_tsquery", "width", "width_bucket", "word_similarity",
    "xml_is_well_formed", "xmlagg", "xmlattributes", "xmlcomment", "xmlconcat", "xmlelement",
    "xmlexists", "xmlforest", "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable",
    "xpath", "xpath_exists",
];

/// The functions of MySQL and MariaDB, except for named locks. `LAST_INSERT_ID` is treated by [`grammar`](super::grammar).
#[rustfmt::skip]
const MYSQL: &[&str] = &[
    "abs", "acos", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "any_value", "ascii",
    "asin", "astext", "atan", "atan2", "avg", "benchmark", "bigint", "bin", "bin_to_uuid",
    "binary", "bit", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor", "blob", "cast",
    "ceil", "ceiling", "char", "char_length", "character", "character_length", "chr",
    "coalesce", "coercibility", "collation", "column_check", "column_create", "column_exists",
    "column_get", "column_json", "column_list", "compress", "concat", "concat_ws",
    "connection_id", "conv", "convert", "convert_tz", "cos", "cot", "count", "crc32", "crc32c",
    "cume_dist", "curdate", "current_date", "current_role", "current_time", "current_timestamp",
    "current_user", "curtime", "database", "date", "date_add", "date_format", "date_sub",
    "datediff", "datetime", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "dec",
    "decimal", "decode", "default", "degrees", "dense_rank", "double", "elt", "encode",
    "encrypt", "enum", "exp", "export_set", "extract", "extractvalue", "field", "find_in_set",
    "first_value", "fixed", "float", "float4", "float8", "floor", "format", "format_bytes",
    "format_pico_time", "found_rows", "from_base64", "from_days", "from_unixtime",
    "geomfromtext", "get_format", "greatest", "group_concat", "grouping", "hex", "hour", "if",
    "ifnull", "in", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa", "insert", "instr",
    "int", "int1", "int2", "int3", "int4", "int8", "integer", "interval", "is_free_lock",
    "is_ipv4", "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "is_used_lock", "is_uuid",
    "isnull", "json_array", "json_array_append", "json_array_insert", "json_array_intersect",
    "json_arrayagg", "json_compact", "json_contains", "json_contains_path", "json_depth",
    "json_detailed", "json_equals", "json_exists", "json_extract", "json_insert", "json_keys",
    "json_length", "json_loose", "json_merge", "json_merge_patch", "json_merge_preserve",
    "json_normalize", "json_object", "json_object_filter_keys", "json_object_to_array",
    "json_objectagg", "json_overlaps", "json_pretty", "json_query", "json_quote", "json_remove",
    "json_replace", "json_schema_valid", "json_search", "json_set", "json_storage_free",
    "json_storage_size", "json_table", "json_type", "json_unquote", "json_valid", "json_value",
    "lag", "last_day", "last_value", "lastval", "lcase", "lead", "least", "left", "length",
    "lengthb", "ln", "load_file", "localtime", "localtimestamp", "locate", "log", "log10",
    "log2", "lower", "lpad", "ltrim", "make_set", "makedate", "maketime", "max", "md5",
    "median", "mediumint", "microsecond", "mid", "middleint", "min", "minute", "mod", "month",
    "monthname", "national", "natural_sort_key", "nchar", "nextval", "now", "nth_value",
    "ntile", "nullif", "numeric", "nvarchar", "nvl", "nvl2", "oct", "octet_length", "ord",
    "percent_rank", "percentile_cont", "percentile_disc", "period_add", "period_diff", "pi",
    "point", "position", "pow", "power", "quarter", "quote", "radians", "rand", "random_bytes",
    "rank", "real", "regexp_instr", "regexp_like", "regexp_replace", "regexp_substr", "repeat",
    "replace", "reverse", "right", "round", "row", "row_count", "row_number", "rpad", "rtrim",
    "schema", "sec_to_time", "second", "session_user", "set", "setval", "sformat", "sha",
    "sha1", "sha2", "sign", "sin", "sleep", "smallint", "soundex", "space", "sqrt",
    "st_asbinary", "st_asgeojson", "st_astext", "st_contains", "st_distance",
    "st_distance_sphere", "st_geomfromtext", "st_geomfromwkb", "st_intersects", "st_srid",
    "st_within", "st_x", "st_y", "std", "stddev", "stddev_pop", "stddev_samp", "str_to_date",
    "strcmp", "subdate", "substr", "substring", "substring_index", "subtime", "sum", "sys_guid",
    "sysdate", "system_user", "tan", "text", "time", "time_format", "time_to_sec", "timediff",
    "timestamp", "timestampadd", "timestampdiff", "tinyint", "to_base64", "to_char", "to_days",
    "to_number", "to_seconds", "trim", "truncate", "ucase", "uncompress", "uncompressed_length",
    "unhex", "unix_timestamp", "unsigned", "updatexml", "upper", "user", "utc_date", "utc_time",
    "utc_timestamp", "uuid", "uuid_short", "uuid_to_bin", "value", "var_pop", "var_samp",
    "varbinary", "varchar", "varcharacter", "variance", "varying", "vector", "version", "week",
    "weekday", "weekofyear", "weight_string", "x", "y", "year", "yearweek",
];

/// The functions of SQLite, except for `load_extension`. The pragmas that are functions change nothing.
#[rustfmt::skip]
const SQLITE: &[&str] = &[
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "avg", "bigint",
    "binary", "bit", "blob", "bm25", "bool", "boolean", "cast", "ceil", "ceiling", "changes",
    "char", "character", "coalesce", "concat", "concat_ws", "cos", "cosh", "count", "cume_dist",
    "current_date", "current_time", "current_timestamp", "date", "datetime", "dec", "decimal",
    "degrees", "dense_rank", "double", "exp", "first_value", "float", "floor", "format",
    "generate_series", "glob", "group_concat", "hex", "highlight", "if", "ifnull", "iif",
    "instr", "int", "integer", "json", "json_array", "json_array_insert", "json_array_length",
    "json_each", "json_error_position", "json_extract", "json_group_array", "json_group_object",
    "json_insert", "json_object", "json_patch", "json_pretty", "json_quote", "json_remove",
    "json_replace", "json_set", "json_tree", "json_type", "json_valid", "jsonb", "jsonb_array",
    "jsonb_array_insert", "jsonb_each", "jsonb_extract", "jsonb_group_array",
    "jsonb_group_object", "jsonb_insert", "jsonb_object", "jsonb_patch", "jsonb_remove",
    "jsonb_replace", "jsonb_set", "jsonb_tree", "julianday", "lag", "last_insert_rowid",
    "last_value", "lead", "length", "like", "likelihood", "likely", "ln", "log", "log10",
    "log2", "lower", "ltrim", "match", "matchinfo", "max", "median", "mediumint", "min", "mod",
    "nchar", "nth_value", "ntile", "nullif", "numeric", "nvarchar", "octet_length", "offsets",
    "optimize", "percent_rank", "percentile", "percentile_cont", "percentile_disc", "pi", "pow",
    "power", "pragma_collation_list", "pragma_compile_options", "pragma_database_list",
    "pragma_foreign_key_check", "pragma_foreign_key_list", "pragma_function_list",
    "pragma_index_info", "pragma_index_list", "pragma_index_xinfo", "pragma_table_info",
    "pragma_table_list", "pragma_table_xinfo", "printf", "quote", "radians", "raise", "random",
    "randomblob", "rank", "real", "regexp", "replace", "round", "row_number", "rtreecheck",
    "rtreedepth", "rtreenode", "rtrim", "sign", "sin", "sinh", "smallint", "snippet", "soundex",
    "sqlite_compileoption_get", "sqlite_compileoption_used", "sqlite_offset",
    "sqlite_source_id", "sqlite_version", "sqrt", "strftime", "string_agg", "substr",
    "substring", "sum", "tan", "tanh", "text", "time", "timediff", "timestamp", "tinyint",
    "total", "total_changes", "trim", "trunc", "typeof", "unhex", "unicode", "unistr",
    "unistr_quote", "unixepoch", "unlikely", "upper", "varchar", "varying", "zeroblob",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_so_that_they_can_be_searched() {
        for list in [POSTGRES, MYSQL, SQLITE] {
            assert!(list.is_sorted());
            assert!(list.iter().all(|name| name.bytes().all(|byte| !byte.is_ascii_uppercase())));
        }
    }
}
