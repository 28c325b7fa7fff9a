"""Do scores of source models agree with how well they transfer, and see which class is missing?"""
