"""From run folders to answers: status, statistics, reports, figures, and the board."""
