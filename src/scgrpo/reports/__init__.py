"""Reports: one self-contained page from run folders; no model, no torch."""

from scgrpo.reports.page import write_report as write_report
