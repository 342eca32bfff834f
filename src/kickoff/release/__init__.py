"""The release engine: stage, prove, shift, judge, and take back."""
