"""The database: tables, the engine, and one module per thing that is stored."""
