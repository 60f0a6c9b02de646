DROP TABLE airlines;
