-- No foreign key to airports: they live in another database.
CREATE TABLE routes (
    origin VARCHAR(4) NOT NULL,
    destination VARCHAR(4) NOT NULL,
    flights INTEGER NOT NULL,
    PRIMARY KEY (origin, destination)
);
