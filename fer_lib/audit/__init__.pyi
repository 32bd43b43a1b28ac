from . import pitfalls as pitfalls
from .checks import Finding as Finding
from .label_quality import label_issues as label_issues
from .report import audit as audit
from .significance import compare_runs as compare_runs
