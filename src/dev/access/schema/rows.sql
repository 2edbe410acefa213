-- The user `username` with the password `password`, kept as pbkdf2,sha256,20000,32.
INSERT INTO mqtt_user (is_superuser, username, password, salt) VALUES
    (FALSE, 'username', '0d36bafcd7ab944ac4ee5ffdd0e3d81961ddc27ac849e5508afe2fdcc95f5ed0', '9f2c41d07be35a18c6640e2fd1a7b935');
-- Asked from the last to the first: what the broker says of itself is for this machine and the dashboard, all else for everybody.
INSERT INTO mqtt_acl (allow, ipaddr, username, clientid, access, topic) VALUES
    (1, NULL, '$all', NULL, 3, '#'),
    (0, NULL, '$all', NULL, 1, '$SYS/#'),
    (1, '127.0.0.1', NULL, NULL, 1, '$SYS/#'),
    (1, NULL, 'dashboard', NULL, 1, '$SYS/#');
