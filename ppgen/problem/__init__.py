"""Problems: programs that met data, the joints and traces that algorithms see, and the checks before the first step."""
