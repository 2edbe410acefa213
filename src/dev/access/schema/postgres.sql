CREATE TABLE IF NOT EXISTS mqtt_user (
    id SERIAL PRIMARY KEY,
    is_superuser BOOLEAN,
    username VARCHAR(100),
    clientid VARCHAR(1024),
    ipaddr VARCHAR(100),
    password VARCHAR(100),
    salt VARCHAR(40)
);
CREATE TABLE IF NOT EXISTS mqtt_acl (
    id SERIAL PRIMARY KEY,
    allow INTEGER,
    ipaddr VARCHAR(60),
    username VARCHAR(100),
    clientid VARCHAR(1024),
    access INTEGER,
    topic VARCHAR(100)
);
