CREATE INDEX events_by_what ON events (what);
