DROP INDEX events_by_what;
