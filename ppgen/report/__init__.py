"""Reports: tables, pictures, and the demo that makes them."""
