from . import pitfalls as pitfalls
from .finding import Finding as Finding
from .label_quality import label_issues as label_issues
from .report import audit as audit
