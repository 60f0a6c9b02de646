diesel::table! { events { id -> BigInt, } }
