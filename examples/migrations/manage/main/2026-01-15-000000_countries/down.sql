ALTER TABLE airlines DROP COLUMN country;
