"""A store in Milvus: embeddings and all that is known of clips in two collections, which many machines share.

Here, beside the texts that were asked, there is a mirror of the catalog: its rows without their embeddings, so that
filters, lists and words work as they do for a store in a folder. It may be deleted at any time.
"""
