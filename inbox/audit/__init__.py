"""What an audit concludes from a log and the tables: pure, without I/O."""
