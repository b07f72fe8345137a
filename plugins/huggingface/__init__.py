"""Pictures of data sets in the library ``datasets``: of Hugging Face's hub, or in a folder."""
