"""The parts of ``report.html`` (:mod:`latent_lab.html_report`): markup, charts, pictures, a job's own section."""
